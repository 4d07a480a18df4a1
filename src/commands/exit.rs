// SPDX-License-Identifier: Apache-2.0
//! Exit codes, and how a command fails.
//!
//! Every expected failure has its own documented code; what nobody expected is 1.
//! `aimeter run` passes the job's own code on, so that 0 to 255 may come from
//! the job; its own failures before the job runs are 2, 126 and 127, as `env`'s.

use std::io;
use std::process::ExitCode;

/// Why the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// All went well.
    Success,
    /// Something failed that has no code of its own.
    Failed,
    /// A wrong option, environment variable or configuration.
    Usage,
    /// No daemon answers on its socket.
    Unreachable,
    /// The daemon refused: the caller may not do this.
    NotPermitted,
    /// No job of that id.
    UnknownJob,
    /// `doctor`: a warning is the worst that was found; `import`: some rows are refused.
    Warned,
    /// `bench validate`, `bench sign`: a record is not valid.
    NotValid,
    /// `bench validate`, `bench sign`: a file is no record that can be read.
    Unreadable,
    /// `bench compare`: the records are of different functional units.
    NotComparable,
    /// `bench run`: the machine or the work allows no campaign.
    Refused,
    /// `run`: the command cannot be executed.
    NotExecutable,
    /// `run`: the command was not found.
    NotFound,
}

impl Code {
    /// Every code, in order.
    pub const ALL: [Code; 13] = [
        Code::Success,
        Code::Failed,
        Code::Usage,
        Code::Unreachable,
        Code::NotPermitted,
        Code::UnknownJob,
        Code::Warned,
        Code::NotValid,
        Code::Unreadable,
        Code::NotComparable,
        Code::Refused,
        Code::NotExecutable,
        Code::NotFound,
    ];

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Code::Success => 0,
            Code::Failed => 1,
            Code::Usage => 2,
            Code::Unreachable => 3,
            Code::NotPermitted => 4,
            Code::UnknownJob => 5,
            Code::Warned => 6,
            Code::NotValid => 7,
            Code::Unreadable => 8,
            Code::NotComparable => 9,
            Code::Refused => 10,
            Code::NotExecutable => 126,
            Code::NotFound => 127,
        }
    }

    /// What it means, for the documentation.
    pub const fn meaning(self) -> &'static str {
        match self {
            Code::Success => "all went well",
            Code::Failed => "something failed; the message says what",
            Code::Usage => "a wrong option, environment variable or configuration",
            Code::Unreachable => "no daemon answers on its socket, or one of another release",
            Code::NotPermitted => {
                "you may not do this: the daemon refused, or its socket is closed to you"
            }
            Code::UnknownJob => "no job of that id",
            Code::Warned => {
                "`doctor`: nothing is broken, something could be better; `import`: something was \
                 refused, the rest was read"
            }
            Code::NotValid => "`bench validate`, `bench sign`: a record is not valid",
            Code::Unreadable => {
                "`bench validate`, `bench sign`: a file is no benchmark record that can be read"
            }
            Code::NotComparable => "`bench compare`: the records are of different functional units",
            Code::Refused => "`bench run`: the machine or the work allows no campaign",
            Code::NotExecutable => "`run`, `bench run`: the command cannot be executed",
            Code::NotFound => "`run`, `bench run`: the command was not found",
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code.number())
    }
}

/// A command's failure: what to say, in one line, and the code to end with.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What happened; empty: say nothing.
    pub message: String,
}

impl Failure {
    /// A failure with its message.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// Of a write to standard output. A reader that went away (`| head`) is no
    /// failure: end quietly.
    pub fn of_output(error: io::Error) -> Failure {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Failure::new(Code::Success, "");
        }
        Failure::new(Code::Failed, format!("cannot write to standard output: {error}"))
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Failure {
        Failure::new(Code::Usage, error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        // Many errors have their cause in their own text already.
        let mut message = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !message.contains(&cause) {
                message = format!("{message}: {cause}");
            }
        }
        Failure::new(Code::Failed, message)
    }
}
