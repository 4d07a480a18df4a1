// SPDX-License-Identifier: Apache-2.0
//! What the configuration adds to a record: embodied carbon, the market-based figure,
//! water and money. Apart from [`super::build`], which takes facts alone.
//!
//! Each is a figure of its own. Only embodied carbon is added up, in `total_grams`,
//! where both parts stand beside it.

use super::{CostPart, EmbodiedPart, MarketBasedPart, Record, WaterPart};
use crate::carbon::embodied::Embodied;
use crate::carbon::resources::Accounting;
use crate::ledger::JobReport;

/// Joules of a kilowatt-hour.
const KWH: f64 = 3.6e6;

/// Adds to the record of a job what its configuration asks for.
pub fn account(record: &mut Record, report: &JobReport, accounting: &Accounting) {
    add_embodied(record, report, accounting);
    let it_kwh = record.energy.total_joules.map(|joules| joules / KWH);
    let pue = record.energy.pue.as_ref().map_or(1.0, |pue| pue.value);
    // What the meter of the electricity company sees, as far as it is known.
    let kwh = it_kwh.map(|kwh| kwh * pue);
    record.emissions.market_based =
        accounting.market_based_grams_per_kwh.map(|grams_per_kwh| MarketBasedPart {
            grams: kwh.map(|kwh| micro(kwh * grams_per_kwh)),
            grams_per_kwh,
            source: accounting.market_based_source.clone().unwrap_or_default(),
        });
    let water = it_kwh.and_then(|kwh| accounting.water(kwh, pue));
    let configured = accounting.wue.or(accounting.grid_wue).is_some();
    record.water = configured.then(|| WaterPart {
        litres: water.map(|water| micro(water.litres())),
        site_litres: water.and_then(|water| water.site_litres).map(micro),
        grid_litres: water.and_then(|water| water.grid_litres).map(micro),
        site_litres_per_kwh: accounting.wue,
        grid_litres_per_kwh: accounting.grid_wue,
    });
    record.cost = accounting.price_per_kwh.map(|price_per_kwh| CostPart {
        amount: kwh.map(|kwh| micro(kwh * price_per_kwh)),
        price_per_kwh,
        currency: accounting.currency.clone().unwrap_or_default(),
    });
}

fn add_embodied(record: &mut Record, report: &JobReport, accounting: &Accounting) {
    let held = &report.held;
    // Of a job of which nobody noted what it held, nothing is known.
    if held.machine_microseconds == 0 && held.gpus.is_empty() {
        return;
    }
    let Some(embodied) = Embodied::of(held, &accounting.embodied) else { return };
    let gpus: u64 = held.gpus.iter().map(|gpu| gpu.microseconds).sum();
    let grams = micro(embodied.total().grams());
    let emissions = &mut record.emissions;
    emissions.embodied_grams = Some(grams);
    emissions.total_grams = emissions.operational_grams.map(|operational| operational + grams);
    emissions.embodied = Some(EmbodiedPart {
        method: "time-held".to_owned(),
        source: embodied.sources.join("; "),
        server_seconds: micro(held.machine_microseconds as f64 / 1e6),
        gpu_seconds: micro(gpus as f64 / 1e6),
        server_grams: micro(embodied.server.grams()),
        gpu_grams: micro(embodied.gpus.grams()),
        lowest_grams: micro(embodied.low.grams()),
        highest_grams: micro(embodied.high.grams()),
    });
}

/// To a millionth of the unit: more is noise.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
