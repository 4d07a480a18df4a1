// SPDX-License-Identifier: Apache-2.0
//! Every setting, declared once.
//!
//! From this table come the command line's flags, their help and environment
//! names, the keys of the TOML file, `config/aimeter.toml` and
//! `docs/config.md` (tests compare both files with it). It holds no values: what
//! was set, and where, is in [`super::Options`].

/// The form of a value in the TOML file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A string.
    Text,
    /// A number, whole or not.
    Number,
    /// A list of strings; separated by commas in the environment.
    List,
    /// True or false.
    Switch,
}

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// The TOML table.
    pub section: &'static str,
    /// The name in that table.
    pub name: &'static str,
    /// How its value is written.
    pub form: Form,
    /// The default, as TOML; for a setting without one, an example.
    pub default: &'static str,
    /// Whether [`Key::default`] is only an example: nothing is set by default.
    pub unset: bool,
    /// The environment variable.
    pub environment: &'static str,
    /// The subcommands that have it as a flag.
    pub commands: &'static [&'static str],
    /// What stands for the value in help.
    pub value_name: &'static str,
    /// One line: what it sets, with unit and range.
    pub help: &'static str,
    /// Whether a change needs a restart (else SIGHUP is enough).
    pub restart: bool,
}

impl Key {
    /// The flag without its dashes.
    pub fn flag(&self) -> String {
        match (self.section, self.name) {
            ("log", "level") => "log-level".into(),
            ("attribution", "idle") => "idle-policy".into(),
            (_, name) => name.replace('_', "-"),
        }
    }

    /// The full name in the TOML file: `section.name`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// What the tables of the TOML file are about, in their order.
pub const SECTIONS: &[(&str, &str)] = &[
    ("daemon", "Where the daemon keeps its books and where it is reached."),
    ("sensors", "What is read, how often, and how well it is known."),
    ("attribution", "Who pays for energy that no job asked for."),
    ("ledger", "The durable books."),
    ("carbon", "From joules to CO2e."),
    ("grid", "Where live carbon intensities come from (docs/grid.md)."),
    ("log", "What is written to the journal (under systemd) or to standard error."),
];

/// The settings that are lists of tables, described by hand: name and text.
pub const CALIBRATION_HELP: &str = "Gain error of one device's sensor after its calibration, ± percent at 95 %, \
     in place of the figure published for its kind; repeat the table for each device";
/// The same of `[[grid.feeds]]`.
pub const FEEDS_HELP: &str = "The feeds, in the order in which they are asked; repeat the table for each. \
     Unset, those without a key that cover the zone; the shipped table is always the last";

/// Every setting, in the order of the TOML file.
pub const KEYS: &[Key] = &[
    Key {
        section: "daemon",
        name: "state_dir",
        form: Form::Text,
        default: "\"/var/lib/aimeter\"",
        unset: false,
        environment: "AIMETER_STATE_DIR",
        commands: &["daemon", "jobs", "show", "doctor", "whatif"],
        value_name: "DIR",
        help: "Folder of the ledger; made if missing. Without root, the default is $XDG_STATE_HOME/aimeter (~/.local/state/aimeter)",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "socket",
        form: Form::Text,
        default: "\"/run/aimeter/aimeter.sock\"",
        unset: false,
        environment: "AIMETER_SOCKET",
        commands: &["daemon", "run", "show", "end", "sensors", "gpu", "doctor", "whatif"],
        value_name: "PATH",
        help: "Unix socket of the daemon. A daemon without root makes it at $XDG_RUNTIME_DIR/aimeter/aimeter.sock; clients look at the default, then there",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "socket_group",
        form: Form::Text,
        default: "\"aimeter\"",
        unset: true,
        environment: "AIMETER_SOCKET_GROUP",
        commands: &["daemon"],
        value_name: "GROUP",
        help: "Group whose members may use the socket (mode 0660). Unset, the socket belongs to the daemon's own group",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "listen",
        form: Form::List,
        default: "[\"127.0.0.1:10077\"]",
        unset: false,
        environment: "AIMETER_LISTEN",
        commands: &["daemon", "doctor"],
        value_name: "ADDR:PORT",
        help: "Addresses of the HTTP server (/metrics, /healthz, /); port 0 takes a free one, an empty list serves no HTTP",
        restart: true,
    },
    Key {
        section: "sensors",
        name: "period",
        form: Form::Text,
        default: "\"1s\"",
        unset: false,
        environment: "AIMETER_PERIOD",
        commands: &["daemon", "run", "doctor"],
        value_name: "TIME",
        help: "Time between two readings of the counters, 100ms to 10s",
        restart: false,
    },
    Key {
        section: "sensors",
        name: "sysfs",
        form: Form::Text,
        default: "\"/sys\"",
        unset: false,
        environment: "AIMETER_SYSFS",
        commands: &["daemon", "run", "sensors", "doctor"],
        value_name: "PATH",
        help: "Where the kernel's sysfs is mounted",
        restart: true,
    },
    Key {
        section: "sensors",
        name: "procfs",
        form: Form::Text,
        default: "\"/proc\"",
        unset: false,
        environment: "AIMETER_PROCFS",
        commands: &["daemon", "run", "sensors", "doctor"],
        value_name: "PATH",
        help: "Where the kernel's procfs is mounted",
        restart: true,
    },
    Key {
        section: "sensors",
        name: "nvml_library",
        form: Form::Text,
        default: "\"/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1\"",
        unset: true,
        environment: "AIMETER_NVML_LIBRARY",
        commands: &["daemon", "run", "sensors", "doctor"],
        value_name: "PATH",
        help: "NVIDIA's management library. Unset, the dynamic linker looks for libnvidia-ml.so.1",
        restart: true,
    },
    Key {
        section: "attribution",
        name: "idle",
        form: Form::Text,
        default: "\"unattributed\"",
        unset: false,
        environment: "AIMETER_IDLE_POLICY",
        commands: &["daemon", "run"],
        value_name: "POLICY",
        help: "Who pays for idle CPU energy: unattributed, proportional or reserved (formulas in docs/accuracy.md)",
        restart: false,
    },
    Key {
        section: "ledger",
        name: "interval",
        form: Form::Text,
        default: "\"5min\"",
        unset: false,
        environment: "AIMETER_INTERVAL",
        commands: &[],
        value_name: "TIME",
        help: "Length of a booking's interval, 10s to 1h; a job's start and end always close one",
        restart: false,
    },
    Key {
        section: "ledger",
        name: "keep_finished",
        form: Form::Text,
        default: "\"15min\"",
        unset: false,
        environment: "AIMETER_KEEP_FINISHED",
        commands: &[],
        value_name: "TIME",
        help: "How long a finished job stays in /metrics, 0s to 24h; at least five scrape intervals is wise. The ledger keeps it for good",
        restart: false,
    },
    Key {
        section: "carbon",
        name: "zone",
        form: Form::Text,
        default: "\"GB\"",
        unset: true,
        environment: "AIMETER_ZONE",
        commands: &["daemon", "run", "intensity", "grid", "doctor"],
        value_name: "ZONE",
        help: "Electricity zone of this machine, such as GB, DE or US-CA. Unset, the world's mean is used and said so",
        restart: false,
    },
    Key {
        section: "carbon",
        name: "cloud_region",
        form: Form::Text,
        default: "\"aws:eu-west-3\"",
        unset: true,
        environment: "AIMETER_CLOUD_REGION",
        commands: &["daemon", "run", "intensity", "grid", "doctor"],
        value_name: "PROVIDER:REGION",
        help: "Cloud region that this machine is in, of aws, azure, gcp or ovh: its zone, by the shipped table, where no zone is set",
        restart: false,
    },
    Key {
        section: "carbon",
        name: "cloud_metadata",
        form: Form::Switch,
        default: "false",
        unset: false,
        environment: "AIMETER_CLOUD_METADATA",
        commands: &[],
        value_name: "BOOL",
        help: "Whether the cloud's own metadata service (169.254.169.254) is asked at the start for the region, where neither zone nor region is set",
        restart: false,
    },
    Key {
        section: "carbon",
        name: "coordinates",
        form: Form::Text,
        default: "\"48.857, 2.352\"",
        unset: true,
        environment: "AIMETER_COORDINATES",
        commands: &["daemon", "run", "intensity", "grid", "doctor"],
        value_name: "LAT,LON",
        help: "Degrees north and east of this machine: electricity-maps and watttime without a `place` are asked at the start which of theirs it is in, and where no zone is set electricity-maps names it",
        restart: false,
    },
    Key {
        section: "carbon",
        name: "pue",
        form: Form::Number,
        default: "1.2",
        unset: true,
        environment: "AIMETER_PUE",
        commands: &["daemon", "run"],
        value_name: "FACTOR",
        help: "Power usage effectiveness of the building, 1 to 10: facility energy is the measured energy times this. Unset, none is applied",
        restart: false,
    },
    Key {
        section: "grid",
        name: "signal",
        form: Form::Text,
        default: "\"average\"",
        unset: false,
        environment: "AIMETER_SIGNAL",
        commands: &["run", "intensity"],
        value_name: "SIGNAL",
        help: "Which feeds are asked for a figure to show or to decide by: those of average or those of marginal figures. Jobs are always booked with average ones",
        restart: false,
    },
    Key {
        section: "grid",
        name: "boundary",
        form: Form::Text,
        default: "\"lifecycle\"",
        unset: false,
        environment: "AIMETER_BOUNDARY",
        commands: &["intensity", "grid"],
        value_name: "BOUNDARY",
        help: "What a feed that gives both (electricity-maps) is asked for: lifecycle or direct. The others give what they give, and say so",
        restart: false,
    },
    Key {
        section: "grid",
        name: "stale_after",
        form: Form::Text,
        default: "\"2h\"",
        unset: false,
        environment: "AIMETER_STALE_AFTER",
        commands: &["intensity", "grid", "doctor"],
        value_name: "TIME",
        help: "How long after the end of its interval a figure is still taken for now, 10min to 24h; an older one is as good as none",
        restart: false,
    },
    Key {
        section: "grid",
        name: "ca",
        form: Form::Text,
        default: "\"/etc/aimeter/ca.pem\"",
        unset: true,
        environment: "AIMETER_CA",
        commands: &["intensity", "grid", "doctor", "run", "whatif"],
        value_name: "FILE",
        help: "Certificates (PEM) that are trusted beside the system's, such as those of a company's proxy",
        restart: false,
    },
    Key {
        section: "grid",
        name: "proxy",
        form: Form::Text,
        default: "\"http://proxy.example.org:3128\"",
        unset: true,
        environment: "AIMETER_PROXY",
        commands: &["intensity", "grid", "doctor", "run", "whatif"],
        value_name: "URL",
        help: "Proxy of all feeds but those on this machine. Unset, HTTPS_PROXY and NO_PROXY are honoured. With a password in it, only the file's owner may read the file",
        restart: false,
    },
    Key {
        section: "log",
        name: "level",
        form: Form::Text,
        default: "\"info\"",
        unset: false,
        environment: "AIMETER_LOG_LEVEL",
        commands: &["daemon"],
        value_name: "LEVEL",
        help: "Least severe message that is logged: off, error, warn, info, debug or trace",
        restart: false,
    },
];

/// The place in [`KEYS`] of a key by section and name.
pub fn position(section: &str, name: &str) -> Option<usize> {
    KEYS.iter().position(|key| key.section == section && key.name == name)
}

/// The candidate that was most likely meant by a misspelt word, if one is near:
/// at most two edits, and fewer than half of the word.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (edits(word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= 2 && edits * 2 < candidate.len())
        .min()
        .map(|(_, candidate)| candidate)
}

/// The Levenshtein distance of two words, in bytes.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let substitute = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_finds_its_key_and_a_far_one_does_not() {
        let names = || KEYS.iter().map(|key| key.name);
        assert_eq!(nearest("sokcet", names()), Some("socket"));
        assert_eq!(nearest("periode", names()), Some("period"));
        assert_eq!(nearest("colour", names()), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }

    #[test]
    fn no_two_keys_share_a_path_a_flag_or_a_variable() {
        for (i, key) in KEYS.iter().enumerate() {
            assert!(SECTIONS.iter().any(|(section, _)| *section == key.section));
            for other in &KEYS[i + 1..] {
                assert_ne!(key.path(), other.path());
                assert_ne!(key.flag(), other.flag());
                assert_ne!(key.environment, other.environment);
            }
        }
    }
}
