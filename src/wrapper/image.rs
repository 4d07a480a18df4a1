// SPDX-License-Identifier: Apache-2.0
//! All that an exec needs, made before the fork: after it nothing may allocate.
//!
//! The search is `execvp`'s (POSIX, "exec"; glibc's `execvpe`): every folder of
//! `PATH` in turn, an empty one being the working folder; a permission refused
//! is remembered and the search goes on; a file that is no program the kernel
//! knows is given to `/bin/sh`.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{AccessFlags, access};

use super::{Launch, WrapperError};

const SHELL: &CStr = c"/bin/sh";
/// glibc's and musl's path when `PATH` is not set.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A program with its arguments and environment, ready for `execve`.
pub(super) struct Image {
    candidates: Vec<CString>,
    /// Owns what the three lists of pointers point at.
    _strings: Vec<CString>,
    arguments: Vec<*const c_char>,
    /// The shell, a place for the script, and the command's arguments.
    shell_arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

impl Image {
    /// Makes it from the launch and this process's own environment.
    pub(super) fn new(launch: &Launch) -> Result<Image, WrapperError> {
        for (name, _) in &launch.environment {
            if name.is_empty() || name.as_bytes().contains(&b'=') {
                return Err(WrapperError::Unpassable(name.to_string_lossy().into_owned()));
            }
        }
        let variables = environment(launch);
        let name = launch.command.first().cloned().unwrap_or_default();
        let path =
            variables.iter().find(|(key, _)| key == "PATH").map(|(_, path)| path.as_os_str());
        let candidates =
            candidates(&name, path).into_iter().map(c_string).collect::<Result<Vec<_>, _>>()?;

        let mut strings =
            launch.command.iter().cloned().map(c_string).collect::<Result<Vec<_>, _>>()?;
        let count = strings.len();
        for (mut entry, value) in variables {
            entry.push("=");
            entry.push(value);
            strings.push(c_string(entry)?);
        }
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
        };
        let arguments = pointers(&strings[..count]);
        let environment = pointers(&strings[count..]);
        let mut shell_arguments = vec![SHELL.as_ptr(), ptr::null()];
        shell_arguments.extend(arguments.iter().skip(1));
        Ok(Image { candidates, _strings: strings, arguments, shell_arguments, environment })
    }

    /// Becomes the program; returns only where that fails, with the reason.
    ///
    /// Calls nothing but `execve`, so that it may run between fork and exec.
    pub(super) fn execute(&mut self) -> Errno {
        let mut reason = Errno::ENOENT;
        let mut denied = false;
        for candidate in &self.candidates {
            let path = candidate.as_ptr();
            // SAFETY: the path and both lists are NUL-terminated and alive.
            unsafe { libc::execve(path, self.arguments.as_ptr(), self.environment.as_ptr()) };
            reason = Errno::last();
            if reason == Errno::ENOEXEC {
                self.shell_arguments[1] = path;
                let arguments = self.shell_arguments.as_ptr();
                // SAFETY: as above.
                unsafe { libc::execve(SHELL.as_ptr(), arguments, self.environment.as_ptr()) };
                return Errno::last();
            }
            match reason {
                Errno::EACCES => denied = true,
                Errno::ENOENT
                | Errno::ENOTDIR
                | Errno::ESTALE
                | Errno::ENODEV
                | Errno::ETIMEDOUT => {}
                _ => return reason,
            }
        }
        if denied { Errno::EACCES } else { reason }
    }
}

/// Looks for the command as an exec would, before a long wait for its start.
///
/// # Errors
/// [`WrapperError::NotFound`] where no file of that name is there, or
/// [`WrapperError::Unpassable`]. A file may be there and still not run.
pub fn look_for(launch: &Launch) -> Result<(), WrapperError> {
    let image = Image::new(launch)?;
    let is_there = |path: &CString| access(path.as_c_str(), AccessFlags::F_OK).is_ok();
    let found = image.candidates.iter().any(is_there);
    if found { Ok(()) } else { Err(refusal(launch, Errno::ENOENT)) }
}

/// The command's failure to start, as the user shall read it.
pub(super) fn refusal(launch: &Launch, errno: Errno) -> WrapperError {
    let name = launch.command.first().cloned().unwrap_or_default();
    let searched = !name.as_bytes().contains(&b'/');
    let command = name.to_string_lossy().into_owned();
    // A folder of PATH that is none, or cannot be reached, is no fault of the command.
    let absent = errno == Errno::ENOENT
        || searched
            && matches!(errno, Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT);
    if absent {
        WrapperError::NotFound { command }
    } else {
        WrapperError::NotExecutable { command, errno }
    }
}

/// This process's variables with the launch's own in place of theirs.
fn environment(launch: &Launch) -> Vec<(OsString, OsString)> {
    let own = &launch.environment;
    std::env::vars_os()
        .filter(|(name, _)| !own.iter().any(|(added, _)| added == name))
        .chain(own.iter().cloned())
        .collect()
}

/// The files to try, in this order.
fn candidates(name: &OsStr, path: Option<&OsStr>) -> Vec<OsString> {
    if name.is_empty() || name.as_bytes().contains(&b'/') {
        return vec![name.to_owned()];
    }
    let path = path.unwrap_or(OsStr::new(DEFAULT_PATH)).as_bytes();
    path.split(|byte| *byte == b':')
        .map(|folder| {
            let mut file = folder.to_vec();
            if !file.is_empty() {
                file.push(b'/');
            }
            file.extend_from_slice(name.as_bytes());
            OsString::from_vec(file)
        })
        .collect()
}

fn c_string(text: OsString) -> Result<CString, WrapperError> {
    CString::new(text.into_vec()).map_err(|error| {
        WrapperError::Unpassable(String::from_utf8_lossy(&error.into_vec()).into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_takes_path_in_order_and_an_empty_folder_as_the_working_one() {
        let check = |name: &str, path: Option<&str>, expected: &[&str]| {
            assert_eq!(candidates(OsStr::new(name), path.map(OsStr::new)), expected, "{name}");
        };
        check("a", Some("/x:/y/"), &["/x/a", "/y//a"]);
        check("a", Some(":/y"), &["a", "/y/a"]);
        check("a", None, &["/bin/a", "/usr/bin/a"]);
        check("./a", Some("/x"), &["./a"]);
        check("", Some("/x"), &[""]);
    }

    #[test]
    fn a_variable_of_the_launch_replaces_ours_once() {
        let launch = Launch {
            command: vec!["true".into()],
            environment: vec![("PATH".into(), "/here".into()), ("NEW".into(), "1".into())],
        };
        let variables = environment(&launch);
        let values = |name: &str| -> Vec<_> {
            variables.iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
        };
        assert_eq!(values("PATH"), ["/here"]);
        assert_eq!(values("NEW"), ["1"]);
    }

    #[test]
    fn what_no_process_can_be_given_is_refused() {
        for (command, name) in [("a\0b", "X"), ("true", "A=B"), ("true", "")] {
            let environment = vec![(name.into(), "1".into())];
            let launch = Launch { command: vec![command.into()], environment };
            assert!(matches!(Image::new(&launch), Err(WrapperError::Unpassable(_))));
        }
    }

    #[test]
    fn only_absence_is_not_found() {
        let check = |name: &str, errno, expected| {
            let launch = Launch { command: vec![name.into()], environment: Vec::new() };
            assert_eq!(refusal(&launch, errno).exit_code(), expected, "{name} {errno}");
        };
        check("a", Errno::ENOENT, 127);
        check("a", Errno::ENOTDIR, 127);
        check("/etc/passwd/a", Errno::ENOTDIR, 126);
        check("a", Errno::EACCES, 126);
        check("a", Errno::E2BIG, 126);
    }
}
