// SPDX-License-Identifier: Apache-2.0
//! What is shipped for Grafana and Prometheus: every dashboard is what its source
//! says, keeps Grafana's types and the dashboard linter's rules, and every one of
//! its queries finds data on a real Prometheus that scraped real daemons with jobs;
//! the rules are tested, and break when they are broken.

#[path = "../common/rig.rs"]
mod rig;
#[path = "../common/prometheus.rs"]
mod server;

mod files;
mod links;
mod linter;
mod model;
mod pictures;
mod queries;
mod rules;
mod site;
