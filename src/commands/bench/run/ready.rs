// SPDX-License-Identifier: Apache-2.0
//! A campaign before anything is started: its spec, its places, its work.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::Access;

use crate::benchmark::campaign::{Campaign, hash};
use crate::benchmark::record::CountedBy;
use crate::benchmark::spec::{self, Spec, WorkRun};
use crate::commands::cli::BenchRunArgs;
use crate::commands::exit::{Code, Failure};
use crate::wrapper::{self, Launch, WrapperError};

/// What a campaign is to do, checked.
pub struct Ready {
    /// The spec.
    pub spec: Spec,
    /// Of its file.
    pub spec_hash: String,
    /// The campaign's folder.
    pub folder: PathBuf,
    /// Where the work runs.
    pub directory: PathBuf,
    /// What the jobs' environment gets.
    pub environment: Vec<(OsString, OsString)>,
    /// Whether others may be on the accelerators.
    pub allow_shared: bool,
}

impl Ready {
    /// Reads and checks.
    ///
    /// # Errors
    /// A wrong spec, a directory or a command that is not there.
    pub fn look(args: &BenchRunArgs, passed: &[(String, String)]) -> Result<Ready, Failure> {
        let usage =
            |what: String| Failure::new(Code::Usage, format!("{}: {what}", args.spec.display()));
        let text = std::fs::read_to_string(&args.spec)
            .map_err(|error| usage(format!("cannot read it: {error}")))?;
        let spec = spec::parse(&text).map_err(|error| usage(error.to_string()))?;
        let path = std::path::absolute(&args.spec).map_err(|error| usage(error.to_string()))?;
        let home = path.parent().unwrap_or(Path::new("/"));
        let directory = home.join(&spec.work.directory);
        if !directory.is_dir() {
            let place = directory.display();
            return Err(usage(format!("work.directory: {place} is no folder")));
        }
        let folder = args.dir.clone().unwrap_or_else(|| path.with_extension("campaign"));
        let folder = std::path::absolute(folder).map_err(|error| usage(error.to_string()))?;
        let passed = passed.iter().map(|(name, value)| (name, value));
        let environment: Vec<(OsString, OsString)> = passed
            .chain(&spec.work.environment)
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let ready = Ready {
            spec_hash: hash(text.as_bytes()),
            spec,
            folder,
            directory,
            environment,
            allow_shared: args.allow_shared,
        };
        ready.look_for_command()?;
        Ok(ready)
    }

    /// Whether a campaign that was begun in the folder is of this spec.
    ///
    /// # Errors
    /// Where it is not.
    pub fn check_same(&self, begun: &Campaign) -> Result<(), Failure> {
        if begun.spec_hash == self.spec_hash {
            return Ok(());
        }
        let message = format!(
            "the spec has changed since the campaign in {} was begun: give another --dir, or \
             remove that folder to begin anew",
            self.folder.display()
        );
        Err(Failure::new(Code::Refused, message))
    }

    /// The command of the work, looked for as it will be when it is run.
    fn look_for_command(&self) -> Result<(), Failure> {
        let WorkRun::Command(command) = &self.spec.work.run else { return Ok(()) };
        let mut command: Vec<OsString> = command.iter().map(OsString::from).collect();
        if let Some(first) = command.first_mut().filter(|first| first.as_bytes().contains(&b'/')) {
            *first = self.directory.join(&*first).into();
        }
        let launch = Launch { command, environment: self.environment.clone() };
        let is_there = wrapper::look_for(&launch);
        // A search in PATH goes by what may be executed.
        let may = |path: &OsString| rustix::fs::access(Path::new(path), Access::EXEC_OK).is_ok();
        let named = launch.command.first().filter(|first| first.as_bytes().contains(&b'/'));
        let checked = match named.filter(|path| !may(path)) {
            Some(path) => is_there.and(Err(WrapperError::NotExecutable {
                command: path.to_string_lossy().into_owned(),
                errno: nix::errno::Errno::EACCES,
            })),
            None => is_there,
        };
        checked.map_err(|error| {
            let code = match &error {
                WrapperError::NotFound { .. } => Code::NotFound,
                WrapperError::NotExecutable { .. } => Code::NotExecutable,
                WrapperError::Unpassable(_) => Code::Usage,
                WrapperError::System { .. } => Code::Failed,
            };
            Failure::new(code, format!("work.command: {error}"))
        })
    }

    /// What runs in a job so long at least, whole runs only, and writes what it did there.
    ///
    /// # Errors
    /// Where this executable cannot be named.
    pub fn window(&self, least: Duration, report: &Path) -> std::io::Result<Vec<OsString>> {
        let executable: OsString = std::env::current_exe()?.into();
        let unit = &self.spec.unit;
        let counted_by = match unit.counted_by {
            CountedBy::Mark => "mark",
            CountedBy::Pattern => "pattern",
            CountedBy::Exit => "exit",
        };
        let least = format!("{}ms", least.as_millis());
        let mut line: Vec<OsString> = vec![executable.clone()];
        line.extend(["bench", "window", "--least", &least, "--report"].map(OsString::from));
        line.push(report.into());
        line.extend(["--unit", &unit.name, "--counted-by", counted_by].map(OsString::from));
        if let Some(target) = &unit.quality {
            let sign = if target.larger_is_better { ">=" } else { "<=" };
            let target = format!("{}{sign}{}", target.metric, target.threshold);
            line.extend(["--quality".into(), target.into()]);
        }
        if let Some(pattern) = &self.spec.pattern {
            line.extend(["--pattern".into(), pattern.into()]);
        }
        line.push("--".into());
        match &self.spec.work.run {
            WorkRun::Command(command) => line.extend(command.iter().map(OsString::from)),
            WorkRun::Builtin(name) => {
                line.push(executable);
                line.extend(["bench", "workload", name].map(OsString::from));
            }
        }
        Ok(line)
    }
}
