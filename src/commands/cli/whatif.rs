// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter whatif`.

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args};

use super::Moment;
use crate::carbon::cooling::BCOOLER_PERCENT;
use crate::config::value;

/// `aimeter whatif`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  aimeter whatif JOB --zone FR,SE\n  \
    aimeter whatif JOB --start 2026-11-25T02:00Z\n  \
    aimeter whatif record.json --pue 1.1 --cooling-saving bcooler")]
pub struct WhatifArgs {
    /// The job's id, or the file of its record (a name that ends in .json or has a /)
    #[arg(value_name = "JOB")]
    pub job: String,
    /// The same energy in these zones; repeatable, or separated by commas
    #[arg(long, env = "AIMETER_WHATIF_ZONE", value_name = "ZONE", value_delimiter = ',', value_parser = value::zone, hide_env_values = true)]
    pub zone: Vec<String>,
    /// The same energy from this time on: one that is past, or as far as a forecast goes (2h: two hours ago)
    #[arg(long, env = "AIMETER_WHATIF_START", value_name = "TIME", value_parser = super::moment, hide_env_values = true)]
    pub start: Option<Moment>,
    /// The same energy in a building of this PUE, 1 to 10
    #[arg(long, env = "AIMETER_WHATIF_PUE", value_name = "FACTOR", value_parser = pue, hide_env_values = true)]
    pub pue: Option<f64>,
    /// So much less energy for cooling, in percent of what the building uses beside the machines (PUE - 1); bcooler: 12.7%
    #[arg(long, env = "AIMETER_WHATIF_COOLING_SAVING", value_name = "PERCENT", value_parser = cooling_saving, hide_env_values = true)]
    pub cooling_saving: Option<f64>,
    /// Print JSON
    #[arg(long, env = "AIMETER_WHATIF_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// A PUE as a factor.
fn pue(text: &str) -> Result<f64, String> {
    value::pue(text).map(|thousandths| f64::from(thousandths) / 1_000.0)
}

/// A saving in percent, with or without its sign, or the name of one.
fn cooling_saving(text: &str) -> Result<f64, String> {
    if text.eq_ignore_ascii_case("bcooler") {
        return Ok(BCOOLER_PERCENT);
    }
    value::percent(text.trim_end_matches('%').trim_end())
        .map_err(|_| "write a percentage such as 12.7%, or bcooler (12.7%)".to_owned())
}
