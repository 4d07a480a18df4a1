// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter top`.

use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use crate::config::value;

/// `aimeter top`.
#[derive(Clone, Copy, Debug, Args)]
pub struct TopArgs {
    /// Time between two looks at the daemon
    #[arg(long, env = "AIMETER_TOP_INTERVAL", value_name = "TIME", default_value = "1s", value_parser = interval, hide_env_values = true)]
    pub interval: Duration,
    /// Print one plain frame, of all jobs, and end; so it is also where standard output is no
    /// terminal or one that is dumb
    #[arg(long, env = "AIMETER_TOP_ONCE", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub once: bool,
    /// Print one JSON object and end
    #[arg(long, env = "AIMETER_TOP_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    value::duration(text, Duration::from_millis(100), Duration::from_secs(3_600))
}
