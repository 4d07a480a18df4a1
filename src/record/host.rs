// SPDX-License-Identifier: Apache-2.0
//! What machine a record is from.
//!
//! A few small reads, made after the job has ended: the first block of
//! `/proc/cpuinfo` instead of all of it (the kernel makes the rest only when it is
//! read, a page at a time), one file of sysfs, `uname`. About 0.1 ms; see
//! `docs/record.md`. What cannot be read is left out, never guessed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{CpuPart, HostPart};
use crate::sensors::Roots;

/// The facts of this host. Its GPUs are known by the domains of a job's report.
pub fn gather(roots: &Roots) -> HostPart {
    let name = rustix::system::uname();
    let word = |text: &std::ffi::CStr| text.to_str().ok().map(str::to_owned);
    let machine_id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    HostPart {
        name: word(name.nodename()),
        machine_id_hash: hash_machine_id(&machine_id),
        os: word(name.sysname())
            .zip(word(name.release()))
            .map(|(system, release)| os(&system, &release)),
        cpus: cpus(roots).into_iter().collect(),
        gpus: Vec::new(),
    }
}

/// `Linux 6.8` of `Linux` and `6.8.0-51-generic`.
fn os(system: &str, release: &str) -> String {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Vec<&str> = release
        .split(['.', '-', '+', '_'])
        .take(2)
        .take_while(|part| !part.is_empty() && number(part))
        .collect();
    format!("{system} {}", if numbers.is_empty() { release.to_owned() } else { numbers.join(".") })
}

/// The first 16 hexadecimal digits of SHA-256 over a word of ours and the machine
/// id: the same for each record of a machine, and of no use to find the id, which
/// should not be published (machine-id(5)). `None` where there is no valid id.
fn hash_machine_id(text: &str) -> Option<String> {
    let id = text.trim();
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digest = Sha256::new().chain_update("aimeter-record machine\0").chain_update(id).finalize();
    Some(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// Model, sockets and cores by the first processor of `/proc/cpuinfo`: it says
/// how many threads (`siblings`) and cores its socket has. A socket count that does not
/// come out even (a core taken offline) is unknown.
fn cpus(roots: &Roots) -> Option<CpuPart> {
    let text = head(&roots.procfs.join("cpuinfo"))?;
    let first = text.split("\n\n").next()?;
    let field = |name: &str| {
        let named = |line: &'_ str| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        };
        first.lines().find_map(named)
    };
    let count = |name: &str| field(name)?.parse::<u32>().ok().filter(|count| *count > 0);
    let threads = online(&roots.sysfs.join("devices/system/cpu/online"));
    let sockets = threads.zip(count("siblings")).and_then(|(threads, siblings)| {
        (threads > 0 && threads % siblings == 0).then(|| threads / siblings)
    });
    let cores =
        sockets.zip(count("cpu cores")).and_then(|(sockets, cores)| sockets.checked_mul(cores));
    Some(CpuPart { model: field("model name")?, sockets, cores })
}

/// The first 8 KiB: more than one processor's block (its flags take 2 KiB).
fn head(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(8_192).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// How many CPUs a list such as `0-63,128-191` names.
fn online(path: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(path).ok()?;
    let count = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        to.checked_sub(from)?.checked_add(1)
    };
    text.trim().split(',').map(count).try_fold(0_u32, |sum, part| sum.checked_add(part?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(cpuinfo: &str, online: &str) -> Option<CpuPart> {
        let folder = tempfile::tempdir().unwrap();
        let cpu = folder.path().join("sys/devices/system/cpu");
        std::fs::create_dir_all(&cpu).unwrap();
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        std::fs::write(cpu.join("online"), online).unwrap();
        std::fs::write(folder.path().join("proc/cpuinfo"), cpuinfo).unwrap();
        let roots = Roots { sysfs: folder.path().join("sys"), procfs: folder.path().join("proc") };
        cpus(&roots)
    }

    const EPYC: &str = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC 9654 96-Core Processor\n\
        physical id\t: 0\nsiblings\t: 192\ncpu cores\t: 96\n\nprocessor\t: 1\nmodel name\t: other\n";

    #[test]
    fn sockets_and_cores_follow_from_the_first_processor() {
        let cpus = host(EPYC, "0-383\n").unwrap();
        assert_eq!(cpus.model, "AMD EPYC 9654 96-Core Processor");
        assert_eq!((cpus.sockets, cpus.cores), (Some(2), Some(192)));
        assert_eq!(host(EPYC, "0-95,192-287\n").unwrap().sockets, Some(1));
    }

    #[test]
    fn what_does_not_come_out_even_or_is_not_said_is_unknown() {
        let odd = host(EPYC, "0-382\n").unwrap();
        assert_eq!((odd.sockets, odd.cores), (None, None));
        assert_eq!(host(EPYC, "garbage").unwrap().sockets, None);
        assert_eq!(host(EPYC, "9-3").unwrap().sockets, None);
        // Arm names no model.
        assert_eq!(host("processor\t: 0\nCPU implementer\t: 0x41\n", "0-71"), None);
        assert_eq!(cpus(&Roots { sysfs: "/nowhere".into(), procfs: "/nowhere".into() }), None);
    }

    #[test]
    fn the_machine_id_is_hashed_and_an_unset_one_is_none() {
        let id = "0123456789abcdef0123456789abcdef\n";
        let hash = hash_machine_id(id).unwrap();
        assert_eq!(hash.len(), 16);
        assert!(!id.contains(&hash));
        assert_eq!(hash_machine_id(id), hash_machine_id(id.trim()));
        assert_ne!(hash_machine_id(&id.replace('0', "1")).unwrap(), hash);
        for nothing in ["", "uninitialized", "0123"] {
            assert_eq!(hash_machine_id(nothing), None);
        }
    }

    #[test]
    fn the_system_is_named_with_two_numbers() {
        assert_eq!(os("Linux", "6.8.0-51-generic"), "Linux 6.8");
        assert_eq!(os("Linux", "6.12-rc3"), "Linux 6.12");
        assert_eq!(os("Linux", "next"), "Linux next");
    }

    #[test]
    fn this_host_has_a_name_and_a_system() {
        let host = gather(&Roots::default());
        assert!(host.name.is_some_and(|name| !name.is_empty()));
        assert!(host.os.is_some_and(|os| os.starts_with("Linux ")));
    }
}
