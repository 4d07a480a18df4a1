// SPDX-License-Identifier: Apache-2.0
//! The zone of this machine, where the configuration says how to find it out.
//!
//! Asks what it was told to ask, for some seconds at most, and never keeps a command
//! from going on: without an answer the zone is unknown, and that is said.

use crate::config::Options;
use crate::grid::{cloud, place};

use super::complain;
use super::grid::wait_for;

/// The options with the zone, and the feeds' own names of the place, found out.
pub fn found_out(mut options: Options) -> Options {
    if options.zone.is_none() && options.cloud_metadata {
        match wait_for(place::of_metadata(cloud::METADATA)) {
            Ok(Ok(found)) => options.take_zone(found),
            Ok(Err(problem)) => complain(&problem),
            Err(failure) => complain(&failure.message),
        }
    }
    if let (Some(at), Some(mut chain)) = (options.coordinates, options.grid.chain.clone()) {
        let environment = |name: &str| std::env::var(name).ok();
        let zone = options.zone.clone();
        let work = place::of_coordinates(
            &mut chain,
            at,
            zone.as_deref(),
            &options.grid.network,
            &environment,
        );
        match wait_for(work) {
            Ok(located) => {
                for problem in &located.problems {
                    complain(problem);
                }
                if let Some(found) = located.found {
                    options.take_zone(found);
                }
            }
            Err(failure) => complain(&failure.message),
        }
        options.grid.chain = Some(chain);
    }
    options
}
