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

    /// Other names of the flag, which who knows Prometheus's exporters will try.
    pub fn aliases(&self) -> &'static [&'static str] {
        match (self.section, self.name) {
            ("daemon", "listen") => &["web.listen-address"],
            ("daemon", "web_config_file") => &["web.config.file"],
            _ => &[],
        }
    }

    /// Whether its value may hold a password, or a key in a query.
    pub fn may_hold_secret(&self) -> bool {
        matches!((self.section, self.name), ("grid", "proxy") | ("carbon", "pue_url"))
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
    ("metrics", "How many series /metrics may have (docs/metrics.md)."),
    ("log", "What is written to the journal (under systemd) or to standard error."),
];

/// The settings that are lists of tables, described by hand: name and text.
pub const CALIBRATION_HELP: &str = "Gain error of one device's sensor after its calibration, ± percent at 95 %, \
     in place of the figure published for its kind; repeat the table for each device";
/// The same of `[[grid.feeds]]`.
pub const FEEDS_HELP: &str = "The feeds, in the order in which they are asked; repeat the table for each. \
     Unset, those without a key that cover the zone; the shipped table is always the last";

/// What most settings of `[carbon]` have in common: a text of the file or the
/// environment, unset by default.
const CARBON: Key = Key {
    section: "carbon",
    name: "",
    form: Form::Text,
    default: "",
    unset: true,
    environment: "",
    commands: &[],
    value_name: "",
    help: "",
    restart: false,
};

/// Every setting, in the order of the TOML file.
pub const KEYS: &[Key] = &[
    Key {
        section: "daemon",
        name: "state_dir",
        form: Form::Text,
        default: "\"/var/lib/aimeter\"",
        unset: false,
        environment: "AIMETER_STATE_DIR",
        commands: &["daemon", "jobs", "show", "doctor", "whatif", "report"],
        value_name: "DIR",
        help: "Folder of the ledger; made if missing. Without root, the default is systemd's $STATE_DIRECTORY, or else $XDG_STATE_HOME/aimeter (~/.local/state/aimeter)",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "socket",
        form: Form::Text,
        default: "\"/run/aimeter/aimeter.sock\"",
        unset: false,
        environment: "AIMETER_SOCKET",
        commands: &[
            "daemon", "run", "show", "end", "mark", "sensors", "gpu", "doctor", "whatif", "report",
            "top",
        ],
        value_name: "PATH",
        help: "Unix socket of the daemon. A daemon without root makes it in systemd's $RUNTIME_DIRECTORY, or else at $XDG_RUNTIME_DIR/aimeter/aimeter.sock; clients look at the default, then there",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "socket_group",
        form: Form::Text,
        default: "\"aimeter-users\"",
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
        help: "Addresses of the HTTP server (/metrics, /healthz, /): IP:PORT, unix:PATH, systemd or systemd:NAME (docs/http.md); port 0 takes a free one, an empty list serves no HTTP",
        restart: true,
    },
    Key {
        section: "daemon",
        name: "web_config_file",
        form: Form::Text,
        default: "\"/etc/aimeter/web.yml\"",
        unset: true,
        environment: "AIMETER_WEB_CONFIG_FILE",
        commands: &["daemon", "doctor"],
        value_name: "FILE",
        help: "TLS and basic auth of the HTTP server, in the form of Prometheus's exporter-toolkit (docs/http.md). A change of the file's content takes effect at once",
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
        name: "pue_schedule",
        form: Form::List,
        default: "[\"Jun-Sep Mon-Fri 08:00-20:00 1.35\", \"Nov-Feb 1.15\"]",
        environment: "AIMETER_PUE_SCHEDULE",
        value_name: "RULE",
        help: "PUE by time, before `carbon.pue`: ranges of months, days and hours as far as they matter, then the PUE; a range may run over its end (Nov-Feb, 22:00-06:00); the first rule that fits holds",
        ..CARBON
    },
    Key {
        name: "pue_time_zone",
        default: "\"UTC\"",
        unset: false,
        environment: "AIMETER_PUE_TIME_ZONE",
        value_name: "ZONE",
        help: "Time zone of `carbon.pue_schedule`, such as Europe/Berlin (IANA); changes of its clocks are honoured",
        ..CARBON
    },
    Key {
        name: "pue_file",
        default: "\"/run/building/pue.json\"",
        environment: "AIMETER_PUE_FILE",
        value_name: "PATH",
        help: "File that another program keeps the present PUE in, 1 to 3, as a number or in a JSON document; before the schedule and `carbon.pue`",
        ..CARBON
    },
    Key {
        name: "pue_url",
        default: "\"https://building.example.org/pue\"",
        environment: "AIMETER_PUE_URL",
        value_name: "URL",
        help: "The same by HTTPS (plain HTTP only from this machine itself)",
        ..CARBON
    },
    Key {
        name: "pue_pointer",
        default: "\"\"",
        unset: false,
        environment: "AIMETER_PUE_POINTER",
        value_name: "POINTER",
        help: "JSON pointer (RFC 6901) of the PUE in that document, such as /now/pue; empty: the document is the number",
        ..CARBON
    },
    Key {
        name: "pue_token_file",
        default: "\"/etc/aimeter/building.key\"",
        environment: "AIMETER_PUE_TOKEN_FILE",
        value_name: "PATH",
        help: "File with the key for `carbon.pue_url`, sent as it is in the header `authorization`",
        ..CARBON
    },
    Key {
        name: "pue_period",
        default: "\"5min\"",
        unset: false,
        environment: "AIMETER_PUE_PERIOD",
        value_name: "TIME",
        help: "Time between two readings of the file or the address, 1s to 24h",
        ..CARBON
    },
    Key {
        name: "pue_keep",
        default: "\"1h\"",
        unset: false,
        environment: "AIMETER_PUE_KEEP",
        value_name: "TIME",
        help: "How long the last good reading holds when no other comes, 1s to 7 days; then the schedule or `carbon.pue`",
        ..CARBON
    },
    Key {
        name: "embodied",
        default: "\"on\"",
        unset: false,
        environment: "AIMETER_EMBODIED",
        value_name: "on|off",
        help: "Whether the CO2e of making the hardware is shown, for the time in which a job holds it (docs/carbon.md)",
        ..CARBON
    },
    Key {
        name: "embodied_server_kg",
        form: Form::Number,
        default: "2500",
        environment: "AIMETER_EMBODIED_SERVER_KG",
        value_name: "KG",
        help: "kg CO2e of making this server without its GPUs, in place of the table's",
        ..CARBON
    },
    Key {
        name: "embodied_gpu_kg",
        form: Form::Number,
        default: "150",
        environment: "AIMETER_EMBODIED_GPU_KG",
        value_name: "KG",
        help: "kg CO2e of making one of its GPUs, in place of the table's",
        ..CARBON
    },
    Key {
        name: "embodied_lifetime",
        form: Form::Number,
        default: "6",
        environment: "AIMETER_EMBODIED_LIFETIME",
        value_name: "YEARS",
        help: "Years that the hardware is in service, in place of the table's 6",
        ..CARBON
    },
    Key {
        name: "embodied_utilisation",
        form: Form::Number,
        default: "0.85",
        environment: "AIMETER_EMBODIED_UTILISATION",
        value_name: "PART",
        help: "Part of its life in which it is used, above 0 to 1, in place of the table's 0.85",
        ..CARBON
    },
    Key {
        name: "wue",
        form: Form::Number,
        default: "0.18",
        environment: "AIMETER_WUE",
        value_name: "LITRES",
        help: "Water usage effectiveness: litres on site per kWh of the IT equipment, 0 to 100. Unset, no water is shown",
        ..CARBON
    },
    Key {
        name: "grid_wue",
        form: Form::Number,
        default: "3.9",
        environment: "AIMETER_GRID_WUE",
        value_name: "LITRES",
        help: "Litres at the power stations per kWh of the facility, 0 to 100",
        ..CARBON
    },
    Key {
        name: "market_based_grams_per_kwh",
        form: Form::Number,
        default: "50",
        environment: "AIMETER_MARKET_BASED_GRAMS_PER_KWH",
        value_name: "GRAMS",
        help: "Market-based factor by contract, g CO2e per kWh, 0 to 4000: shown beside the location-based figure, never in its place",
        ..CARBON
    },
    Key {
        name: "market_based_source",
        default: "\"wind power agreement 2026\"",
        environment: "AIMETER_MARKET_BASED_SOURCE",
        value_name: "TEXT",
        help: "What the market-based factor rests on; required with it",
        ..CARBON
    },
    Key {
        name: "price_per_kwh",
        form: Form::Number,
        default: "0.25",
        environment: "AIMETER_PRICE_PER_KWH",
        value_name: "PRICE",
        help: "Price of a kWh of the facility. Unset, no cost is shown",
        ..CARBON
    },
    Key {
        name: "currency",
        default: "\"EUR\"",
        environment: "AIMETER_CURRENCY",
        value_name: "TEXT",
        help: "Currency of the price; required with it",
        ..CARBON
    },
    Key {
        section: "grid",
        name: "poll",
        form: Form::Text,
        default: "\"auto\"",
        unset: false,
        environment: "AIMETER_POLL",
        commands: &["daemon", "run"],
        value_name: "TIME",
        help: "Time between two questions to a feed while something is metered, 5min to 24h; `auto`: as often as the feed has new figures; `off`: no feed is asked, the yearly table stands",
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
        commands: &["daemon", "run", "intensity", "grid", "doctor"],
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
        commands: &["daemon", "run", "intensity", "grid", "doctor", "whatif"],
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
        commands: &["daemon", "run", "intensity", "grid", "doctor", "whatif"],
        value_name: "URL",
        help: "Proxy of all feeds but those on this machine. Unset, HTTPS_PROXY and NO_PROXY are honoured. With a password in it, only the file's owner may read the file",
        restart: false,
    },
    Key {
        section: "metrics",
        name: "max_jobs",
        form: Form::Number,
        default: "1000",
        unset: false,
        environment: "AIMETER_MAX_JOBS",
        commands: &[],
        value_name: "N",
        help: "Jobs with series of their own in /metrics, those with the most energy, 0 to 100000; the others stand together as the job `other`",
        restart: false,
    },
    Key {
        section: "metrics",
        name: "max_users",
        form: Form::Number,
        default: "1000",
        unset: false,
        environment: "AIMETER_MAX_USERS",
        commands: &[],
        value_name: "N",
        help: "Users with series of their own in /metrics, the first that were seen, 0 to 100000; the others stand together as `other`",
        restart: false,
    },
    Key {
        section: "metrics",
        name: "max_projects",
        form: Form::Number,
        default: "1000",
        unset: false,
        environment: "AIMETER_MAX_PROJECTS",
        commands: &[],
        value_name: "N",
        help: "Projects with series of their own in /metrics, the first that were seen, 0 to 100000; the others stand together as `other`",
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

#[cfg(test)]
mod tests {
    use super::*;

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
