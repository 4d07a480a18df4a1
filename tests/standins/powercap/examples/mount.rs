// SPDX-License-Identifier: Apache-2.0
//! Mounts a default tree at a folder until standard input closes:
//! `cargo run -p powercap-standin --example mount -- FOLDER [--fast-wrap]`.
//!
//! Two packages with dram, psys and the mmio duplicates; with `--fast-wrap`
//! one package of 300 W that wraps every 8 s.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use powercap_standin::{PowercapTree, Scale, Trace, Zone};

fn tree(fast_wrap: bool) -> PowercapTree {
    let tree = PowercapTree::builder();
    if fast_wrap {
        let zone = Zone::new(Trace::constant(300)).scale(Scale::wrapping_after(2_400));
        return tree.zone("package-0", zone).dram(0, Trace::constant(20));
    }
    tree.package(0, Trace::square(60, 220, 1))
        .dram(0, Trace::constant(25))
        .package(1, Trace::square(80, 200, 7))
        .dram(1, Trace::constant(22))
        .psys(Trace::constant(450))
        .mmio_duplicate()
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        eprintln!("usage: mount FOLDER [--fast-wrap]");
        return ExitCode::from(2);
    };
    let fast_wrap = arguments.next().is_some_and(|argument| argument == "--fast-wrap");
    let mounted = match tree(fast_wrap).mount(&folder) {
        Ok(mounted) => mounted,
        Err(error) => {
            eprintln!("mounting at {} failed: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    println!("{}", mounted.root().display());
    let mut ignored = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut ignored);
    ExitCode::SUCCESS
}
