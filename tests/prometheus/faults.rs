// SPDX-License-Identifier: Apache-2.0
//! Sensors that fail show so, and no counter ever falls.

use std::collections::BTreeMap;

use nvml_standin::{Fault, FaultKind};
use powercap_standin::Fault as PowercapFault;
use rustix::process::{Pid, Signal, kill_process};

use crate::page::Page;
use crate::rig::{Daemon, burn, eventually};
use crate::{complete, configure, gpu_domain, machine, metrics};

const ENERGY_CALL: &str = "nvmlDeviceGetTotalEnergyConsumption";

fn errors(page: &Page, domain: &str, reason: &str) -> f64 {
    page.one("aimeter_sensor_read_errors_total", &[("domain", domain), ("reason", reason)])
}

fn state(page: &Page, domain: &str) -> String {
    let states = page.of("aimeter_sensor_state", &[]);
    let mut on = states.filter(|sample| sample.label("domain") == domain && sample.value == 1.0);
    let state = on.next().expect("a state").label("state").to_owned();
    assert!(on.next().is_none(), "{domain} is in two states");
    state
}

/// Waits for a page on which something holds.
fn page_with(daemon: &Daemon, what: &str, holds: impl Fn(&Page) -> bool) -> Page {
    eventually(what, || Some(metrics(daemon)).filter(|page| holds(page)))
}

#[test]
fn the_health_of_a_sick_sensor_shows() {
    let rig = machine();
    let daemon = rig.daemon(&["--period", "100ms"]);
    let first = complete(&daemon);
    let (package, dram) = ("rapl:package-0", "rapl:package-0/dram");
    let last = "aimeter_sensor_last_read_timestamp_seconds";
    let up = |page: &Page, source| page.one("aimeter_sensor_up", &[("source", source)]);
    assert_eq!((up(&first, "rapl"), up(&first, "nvml")), (1.0, 1.0));
    assert_eq!(state(&first, package), "ok");

    // One of two domains: the source is up, the domain is not.
    rig.sysfs.meter("package-0").fail(PowercapFault::Io);
    let failed = page_with(&daemon, "a failure", |page| errors(page, package, "failed") > 0.0);
    let later = page_with(&daemon, "more failures", |page| {
        errors(page, package, "failed") > errors(&failed, package, "failed") + 3.0
    });
    assert_eq!((state(&later, package), state(&later, dram)), ("failed".into(), "ok".into()));
    assert_eq!(up(&later, "rapl"), 1.0);
    assert!(later.find("aimeter_domain_power_watts", &[("domain", package)]).is_none());
    let read = |page: &Page, domain| page.one(last, &[("domain", domain)]);
    assert_eq!(read(&later, package), read(&failed, package));
    assert!(read(&later, dram) > read(&failed, dram));

    rig.sysfs.meter("package-0/dram").fail(PowercapFault::NotPermitted);
    page_with(&daemon, "rapl down", |page| up(page, "rapl") == 0.0);
    rig.sysfs.meter("package-0").heal();
    rig.sysfs.meter("package-0/dram").heal();
    let healed = page_with(&daemon, "rapl up", |page| {
        state(page, package) == "ok" && state(page, dram) == "ok"
    });
    assert!(read(&healed, package) > read(&later, package));

    // What cannot be is refused, counted, and not booked.
    let refused = |page: &Page| page.one("aimeter_sensor_refused_total", &[("domain", package)]);
    assert_eq!(refused(&healed), 0.0);
    rig.sysfs.meter("package-0").fail(PowercapFault::Text("18446744073709551615\n".into()));
    page_with(&daemon, "a refused value", |page| refused(page) > 0.0);
    rig.sysfs.meter("package-0").heal();

    // A counter that starts anew, as after a reload of the driver.
    let gpu = gpu_domain(&rig.script, 0);
    let resets = |page: &Page| page.one("aimeter_sensor_resets_total", &[("domain", &gpu)]);
    assert_eq!(resets(&healed), 0.0);
    rig.nvml
        .as_ref()
        .unwrap()
        .update(|script| {
            let now = (nvml_standin::now_ns() - script.epoch_ns) / 1_000_000;
            script.gpus[0].counter.resets_ms.push(now);
        })
        .unwrap();
    page_with(&daemon, "a reset", |page| resets(page) == 1.0);
    let energy = metrics(&daemon).one("aimeter_domain_energy_joules_total", &[("domain", package)]);
    let truth = rig.zone_joules("package-0", 0, nvml_standin::now_ns());
    assert!(energy <= truth, "{energy} J of {truth} J");
}

/// The counters of energy, emissions and of nothing that begins with the daemon.
#[derive(Default)]
struct Watch(BTreeMap<String, f64>);

impl Watch {
    /// No counter is lower than ever before.
    fn see(&mut self, page: &Page) {
        for sample in &page.samples {
            let name = &sample.name;
            let lasting = name.contains("_joules_total") || name.contains("_grams_total");
            if !lasting {
                continue;
            }
            let most = self.0.entry(format!("{name}{:?}", sample.labels)).or_default();
            assert!(sample.value >= *most, "{sample:?} fell from {most}");
            *most = sample.value;
        }
    }

    /// Looks until a counter of this domain has risen.
    fn until_risen(&mut self, daemon: &Daemon, domain: &str) {
        let energy = |page: &Page| {
            page.find("aimeter_domain_energy_joules_total", &[("domain", domain)]).unwrap_or(0.0)
        };
        let before = energy(&metrics(daemon));
        eventually("a rise", || {
            let page = metrics(daemon);
            self.see(&page);
            (energy(&page) > before).then_some(())
        });
    }
}

#[test]
fn no_counter_falls_over_a_lost_gpu_a_reload_and_restarts() {
    let rig = machine();
    let config = configure(&rig, "[sensors]\nperiod = \"100ms\"\n[carbon]\nzone = \"GB\"\n");
    let daemon = rig.daemon(&["--config", &config]);
    complete(&daemon);
    let stop = rig.path("stop");
    let mut job = rig.aimeter("run");
    job.args(["--project", "vision", "--gpus", "0,1", "--quiet", "--"]).arg(burn());
    job.args(["--cpu", "100ms", "--until-file"]).arg(&stop);
    let mut job = job.spawn().expect("the binary");
    let mut watch = Watch::default();
    let (first, second) = (gpu_domain(&rig.script, 0), gpu_domain(&rig.script, 1));
    watch.until_risen(&daemon, &first);

    let nvml = rig.nvml.as_ref().unwrap();
    let lost = Fault::standing(ENERGY_CALL, Some(0), FaultKind::Error(15));
    nvml.update(|script| script.faults.push(lost)).unwrap();
    page_with(&daemon, "the loss", |page| state(page, &first) == "lost");
    watch.until_risen(&daemon, &second);
    nvml.update(|script| script.faults.clear()).unwrap();
    watch.until_risen(&daemon, &first);

    // An intensity much lower than before: what was emitted stays emitted.
    configure(&rig, "[sensors]\nperiod = \"100ms\"\n[carbon]\nzone = \"NO\"\n");
    kill_process(Pid::from_child(&daemon.child), Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    watch.until_risen(&daemon, &first);

    assert!(daemon.terminate().success());
    let daemon = rig.daemon(&["--config", &config]);
    watch.see(&metrics(&daemon));
    watch.until_risen(&daemon, &first);
    std::fs::write(&stop, "").unwrap();
    assert!(job.wait().unwrap().success());
    watch.see(&metrics(&daemon));
    let page = metrics(&daemon);
    watch.until_risen(&daemon, "rapl:package-0");
    assert!(page.sum("aimeter_project_energy_joules_total", &[("project", "vision")]) > 0.0);
}
