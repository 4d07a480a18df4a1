// SPDX-License-Identifier: Apache-2.0
//! Which job a wrapper belongs to, from its environment.
//!
//! A job's processes inherit `AIMETER_JOB_ID` and `AIMETER_INSIDE_JOB`. A wrapper
//! that finds both alike runs inside that job: it is a nested job of its own. One
//! that finds an `AIMETER_JOB_ID` that no wrapper around it has set (a launcher
//! that starts a wrapper per rank did) joins that job, or is its first member.

use std::ffi::CString;

use crate::jobs::JobId;

/// The job's id, inherited by all its processes.
pub const JOB_ID: &str = "AIMETER_JOB_ID";
/// The id again, set by wrappers only.
pub const INSIDE_JOB: &str = "AIMETER_INSIDE_JOB";

/// Which job this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub job: JobId,
    /// Whether the id was given from outside: others may be members of the job too.
    pub shared: bool,
    /// The job around it.
    pub inside: Option<JobId>,
    /// What was wrong with the environment, for people.
    pub warning: Option<String>,
}

impl Identity {
    /// From environment variables.
    pub fn from_environment(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name| get(name).filter(|value| !value.is_empty());
        let inside: Option<JobId> = set(INSIDE_JOB).and_then(|id| id.parse().ok());
        let given = set(JOB_ID).map(|id| id.parse::<JobId>());
        match given {
            Some(Ok(job)) if inside.as_ref() != Some(&job) => {
                Identity { job, shared: true, inside, warning: None }
            }
            Some(Err(error)) => Identity {
                job: JobId::generate(),
                shared: false,
                inside,
                warning: Some(format!("{JOB_ID}: {error}; the job gets an id of its own")),
            },
            _ => Identity { job: JobId::generate(), shared: false, inside, warning: None },
        }
    }

    /// What the command's environment gets.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [JOB_ID, INSIDE_JOB].into_iter().map(|name| (name, self.job.as_str()))
    }
}

/// A user's name by the system's user database; the uid in digits where it has none.
pub fn user_name(uid: u32) -> String {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    match user {
        Ok(Some(user)) if CString::new(user.name.as_str()).is_ok() => user.name,
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(job: Option<&str>, inside: Option<&str>) -> Identity {
        Identity::from_environment(|name| {
            let value = if name == JOB_ID { job } else { inside };
            value.map(str::to_owned)
        })
    }

    #[test]
    fn without_variables_the_job_is_new_and_alone() {
        let new = identity(None, None);
        assert!(!new.shared);
        assert_eq!(new.inside, None);
        assert_ne!(new.job, identity(None, None).job);
        assert!(!identity(Some(""), Some("")).shared);
    }

    #[test]
    fn inside_a_job_it_is_a_nested_job_of_its_own() {
        let nested = identity(Some("A"), Some("A"));
        assert!(!nested.shared);
        assert_ne!(nested.job.as_str(), "A");
        assert_eq!(nested.inside.unwrap().as_str(), "A");
    }

    #[test]
    fn an_id_that_no_wrapper_set_is_shared_by_the_ranks() {
        let rank = identity(Some("B"), None);
        assert!(rank.shared);
        assert_eq!(rank.job.as_str(), "B");
        let inner_rank = identity(Some("B"), Some("A"));
        assert!(inner_rank.shared);
        assert_eq!(inner_rank.inside.unwrap().as_str(), "A");
    }

    #[test]
    fn an_id_that_is_none_is_said_and_replaced() {
        let odd = identity(Some("no good/id"), None);
        assert!(odd.warning.unwrap().contains("no good/id"));
        assert!(!odd.shared);
    }
}
