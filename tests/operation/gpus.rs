// SPDX-License-Identifier: Apache-2.0
//! `aimeter gpu release` and `reclaim`: the driver is let go of, and no joule.

use std::path::Path;

use crate::rig::{burn, error, eventually, interval};
use crate::{as_nobody, call, machine, metric, said, wait_for_gpu};

fn calls(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).expect("the stand-in's call log");
    text.lines().map(|line| line.split(' ').next().expect("a symbol").to_owned()).collect()
}

#[test]
fn a_release_shuts_nvml_down_and_a_reclaim_books_the_time_between() {
    let rig = machine();
    let log = rig.path("nvml-calls");
    let nvml = rig.nvml.as_ref().unwrap();
    nvml.update(|script| script.call_log = Some(log.clone())).unwrap();
    let daemon = rig.daemon(&["--period", "100ms"]);
    wait_for_gpu(&daemon);
    let (stop, id) = (rig.path("stop"), "release-test");
    let run = std::thread::scope(|scope| {
        let job = scope.spawn(|| {
            let mut run = rig.aimeter("run");
            let json = rig.path("record.json");
            run.env("AIMETER_JOB_ID", id).arg("--json").arg(&json).args(["--gpus", "0", "--"]);
            run.arg(burn()).arg("--until-file").arg(&stop);
            assert!(run.output().expect("the binary").status.success());
            serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
        });
        // Its start is settled: the counter's step there has been found.
        eventually("the job's energy", || {
            let (_, out, _) = call(&rig, &["show", id, "--json"]);
            let record: serde_json::Value = serde_json::from_str(&out).ok()?;
            let domains = record["energy"]["domains"].as_array()?;
            let gpu = domains.iter().find(|domain| domain["kind"] == "gpu")?;
            (gpu["joules"].as_f64()? > 50.0).then_some(())
        });

        let (code, out, err) = call(&rig, &["gpu", "release"]);
        // At once: whoever resets the GPU next relies on it.
        let released = calls(&log);
        assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
        assert!(err.starts_with("aimeter: GPUs released"), "{err}");
        assert_eq!(released.last().map(String::as_str), Some("nvmlShutdown"));
        let ticks = || metric(&daemon, "aimeter_ticks_total").unwrap();
        let then = ticks();
        eventually("ten ticks", || (ticks() >= then + 10.0).then_some(()));
        assert_eq!(calls(&log).len(), released.len(), "the driver is used while released");
        assert_eq!(metric(&daemon, "aimeter_sensor_up{source=\"nvml\"}"), Some(0.0));
        let (code, out, _) = call(&rig, &["sensors"]);
        assert_eq!(code, Some(0));
        assert!(out.contains("NVML was let go of on request"), "{out}");
        assert!(out.contains("hint: `aimeter gpu reclaim`"), "{out}");

        assert_eq!(call(&rig, &["gpu", "reclaim"]).0, Some(0));
        wait_for_gpu(&daemon);
        assert!(calls(&log).len() > released.len());
        std::fs::write(&stop, "").unwrap();
        let record: serde_json::Value = job.join().unwrap();
        record
    });
    let (from, to) = interval(&run);
    let domain = crate::rig::domain(&run, &format!("nvml:{}", rig.script.gpus[0].uuid));
    let (joules, truth) = (domain["joules"].as_f64().unwrap(), rig.gpu_joules(0, from, to));
    println!("{joules} J booked, {truth} J drawn");
    assert!(error(joules, truth) < 0.005, "{joules} J booked, {truth} J drawn");
    let uncertainty = domain["uncertainty_joules"].as_f64().unwrap();
    assert!((joules - truth).abs() <= uncertainty, "{joules} ± {uncertainty} J, {truth} J drawn");
}

#[test]
fn only_root_releases_gpus() {
    let rig = machine();
    let daemon = rig.daemon(&["--socket-group", "nogroup"]);
    wait_for_gpu(&daemon);
    for action in ["release", "reclaim"] {
        let (code, out, err) = said(&as_nobody(&rig, &["gpu", action]));
        let expected = (Some(4), String::new(), "aimeter: only root may do this\n".to_owned());
        assert_eq!((code, out, err), expected);
    }
}
