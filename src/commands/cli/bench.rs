// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter bench`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand};

/// `aimeter bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Check benchmark records: form, hash, arithmetic, level, disclosures, signature
    Validate(ValidateArgs),
    /// Sign a benchmark record with an SSH key, beside it in RECORD.sig
    Sign(SignArgs),
}

/// `aimeter bench validate`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every violation is a line: file, JSON pointer, check, what the record says \
    and what was found. Ends with 0 where all are valid, 7 where one is not, 8 where one cannot be \
    read.\n\nA signature is looked for in RECORD.sig. Without --allowed-signers it is shown whose key \
    made it, and nobody is believed.\n\nExamples:\n  aimeter bench validate record.json\n  \
    aimeter bench validate *.json --allowed-signers signers --require-signature"
)]
pub struct ValidateArgs {
    /// The records' files
    #[arg(required = true, value_name = "RECORD")]
    pub record: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, env = "AIMETER_BENCH_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
    /// Whose signatures count: a file of ssh-keygen's form ALLOWED SIGNERS
    #[arg(long, env = "AIMETER_ALLOWED_SIGNERS", value_name = "FILE", hide_env_values = true)]
    pub allowed_signers: Option<PathBuf>,
    /// Only the signature of this one of them [default: of any]
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    pub identity: Option<String>,
    /// A record without a signature is not valid
    #[arg(long)]
    pub require_signature: bool,
}

/// `aimeter bench sign`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The signature is of the file's bytes, in the namespace aimeter-benchmark. \
    Anybody checks it without aimeter:\n  ssh-keygen -Y verify -n aimeter-benchmark -f SIGNERS -I \
    NAME -s RECORD.sig < RECORD"
)]
pub struct SignArgs {
    /// The record's file; it must be valid
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,
    /// A private key, or the public key of one that ssh-agent or a security key holds
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}
