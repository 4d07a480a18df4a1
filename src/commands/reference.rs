// SPDX-License-Identifier: Apache-2.0
//! The command line's reference, written from its declaration: the text of
//! `docs/cli.md`, which a test compares.

use std::fmt::Write;

use super::exit::Code;

/// Columns of the help texts in the reference, whatever terminal writes them.
const WIDTH: usize = 100;

/// The text of `docs/cli.md`.
pub fn cli() -> String {
    let mut text = String::from(
        "# Command line\n\n\
         Written from the program's own declaration; a test compares them. Settings also stand in\n\
         the [configuration file](config.md): a flag wins over the environment, the environment over\n\
         the file, the file over the default.\n",
    );
    let mut command = super::cli::command().term_width(WIDTH).color(clap::ColorChoice::Never);
    command.build();
    page(&mut text, &mut command, "");
    text.push_str("\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n");
    for code in Code::ALL {
        _ = writeln!(text, "| {} | {} |", code.number(), code.meaning());
    }
    text.push_str(
        "\n`aimeter run` ends with the command's own exit code, whatever that is, or dies of the same\n\
         signal (a shell shows 128 + n). Interrupted while it waits (`--when`), it dies of that signal\n\
         and has run nothing. Error messages are one line on standard error; standard\n\
         output is data. A reader of standard output that goes away is no error. `NO_COLOR` is\n\
         honoured.\n\n\
         A job's processes inherit the environment, so that `AIMETER_…` variables of the user hold\n\
         for an `aimeter run` inside the job too; flags do not. A name, a label or a file for the\n\
         record that is meant for the outer job only is better given as a flag. The job also has\n\
         `AIMETER_JOB_ID`, `AIMETER_INSIDE_JOB` by which a nested run is known from a rank, and\n\
         `AIMETER_MARK_SOCKET`, where its [marks](marks.md) go.\n",
    );
    text
}

fn page(text: &mut String, command: &mut clap::Command, parent: &str) {
    let name = format!("{parent}{}", command.get_name());
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    _ = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for sub in command.get_subcommands_mut() {
        page(text, sub, &format!("{name} "));
    }
}
