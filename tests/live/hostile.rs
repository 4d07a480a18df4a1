// SPDX-License-Identifier: Apache-2.0
//! A daemon whose feeds are all hostile: its memory stays flat, and a job that runs
//! meanwhile has its energy.

use crate::daemon::{configure, daemon, machine, metric};
use crate::replay::{Replay, Reply};
use crate::rig::{Daemon, burn, error, eventually, interval};

/// Kibibytes of a line of the daemon's `/proc/PID/status`.
pub fn kibibytes(daemon: &Daemon, name: &str) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A billion laughs: an entity of entities of entities, 3 GB where they are put in.
fn bomb() -> String {
    let mut text = "<!DOCTYPE GL_MarketDocument [<!ENTITY a0 \"haha\">".to_owned();
    for level in 1..10 {
        let inner = format!("&a{};", level - 1).repeat(10);
        text += &format!("<!ENTITY a{level} \"{inner}\">");
    }
    text + "]><GL_MarketDocument><mRID>&a9;</mRID></GL_MarketDocument>"
}

#[test]
fn hostile_feeds_cost_the_daemon_no_memory_and_a_job_nothing() {
    let inner = Replay::plain(|_| Reply::json(r#"{"v":1}"#));
    let elsewhere = inner.url("/metadata").to_string();
    let deep = "[".repeat(3_000_000);
    let servers = [
        // 10 GB and more.
        Replay::tls(|_| Reply::Endless),
        Replay::tls(move |_| Reply::Redirect(elsewhere.clone())),
        Replay::tls(move |_| Reply::json(format!(r#"{{"v":{deep}"#))),
        Replay::tls(|_| Reply::Truncated(br#"{"v":1}"#.to_vec())),
        // Slow loris: a byte, then silence.
        Replay::tls(|_| Reply::Silence),
        Replay::tls(|_| {
            Reply::Whole(200, vec!["Content-Type: text/xml".into()], bomb().into_bytes())
        }),
    ];
    let [json @ .., xml] = &servers;
    let rig = machine();
    let ca = rig.path("all.pem");
    let bundle: String =
        servers.iter().map(|server| std::fs::read_to_string(server.ca()).unwrap()).collect();
    std::fs::write(&ca, bundle).unwrap();
    let key = rig.path("entsoe.key");
    std::fs::write(&key, "s3cr3t").unwrap();
    let entsoe = format!(
        "[[grid.feeds]]\nfeed = \"entsoe\"\nzone = \"GB\"\nplace = \"10YGB----------A\"\n\
         token_file = \"{}\"\nurl = \"{}\"\n",
        key.display(),
        xml.url("/")
    );
    let feeds: String = json
        .iter()
        .map(|server| {
            format!(
                "[[grid.feeds]]\nfeed = \"json\"\nzone = \"GB\"\npointer = \"/v\"\n\
                 unit = \"g/kWh\"\nurl = \"{}\"\n",
                server.url("/")
            )
        })
        .chain([entsoe])
        .collect();
    let config = configure(&rig, &ca, "off", &feeds);
    let daemon = daemon(&rig, &config);
    eventually("the GPU", || {
        metric(&daemon, "aimeter_sensor_up{source=\"nvml\"}").filter(|up| *up == 1.0)
    });
    let before = (kibibytes(&daemon, "RssAnon"), kibibytes(&daemon, "VmHWM"));

    configure(&rig, &ca, "auto", &feeds);
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    daemon.wait_for("configuration taken up");
    let run = rig.run(&["--gpus", "0"], &[burn().to_str().unwrap(), "--sleep", "2s"]);
    for (feed, result, least) in [
        ("json", "too_large", 1.0),
        ("json", "redirected", 1.0),
        ("json", "not_understood", 1.0),
        ("json", "no_answer", 2.0),
        ("entsoe:10YGB----------A", "not_understood", 1.0),
    ] {
        let series =
            format!("aimeter_grid_feed_requests_total{{feed=\"{feed}\",result=\"{result}\"}}");
        eventually(result, || metric(&daemon, &series).filter(|count| *count >= least));
    }

    let after = (kibibytes(&daemon, "RssAnon"), kibibytes(&daemon, "VmHWM"));
    println!("RssAnon {} -> {} KiB, VmHWM {} -> {} KiB", before.0, after.0, before.1, after.1);
    println!("{} MiB were offered", servers[0].sent() >> 20);
    // What may be read of an answer at once is 4 MiB; the rest is code and certificates.
    assert!(after.0 - before.0 < 16 * 1_024, "{before:?} -> {after:?}");
    assert!(after.1 - before.1 < 48 * 1_024, "{before:?} -> {after:?}");
    assert_eq!(inner.requests(), Vec::<String>::new());
    assert!(!xml.requests().is_empty());
    let (from, to) = interval(&run.record);
    let gpu = run.domain(&format!("nvml:{}", rig.script.gpus[0].uuid));
    let (joules, truth) = (gpu["joules"].as_f64().unwrap(), rig.gpu_joules(0, from, to));
    assert!(error(joules, truth) < 0.005, "{joules} is not {truth}\n{}", run.stderr);
    let parts = &run.record["emissions"]["intensity"]["parts"];
    assert!(parts[0]["source"].as_str().unwrap().starts_with("table:"), "{parts}");
}
