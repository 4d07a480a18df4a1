// SPDX-License-Identifier: Apache-2.0
//! What the configuration adds to a job's account beside energy and emissions:
//! water, a market-based figure, money; and the masses for embodied carbon.
//!
//! Each is optional, none is ever a part of the total of emissions. Formulas and
//! their sources: `docs/carbon.md`.

use super::embodied::EmbodiedSettings;

/// How a job is accounted for, as the configuration says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounting {
    /// Masses of the hardware.
    pub embodied: EmbodiedSettings,
    /// `carbon.wue`: litres on site per kWh of the IT equipment.
    pub wue: Option<f64>,
    /// `carbon.grid_wue`: litres at the power stations per kWh of the facility.
    pub grid_wue: Option<f64>,
    /// `carbon.market_based_grams_per_kwh`: by contract, grams CO2e per kWh.
    pub market_based_grams_per_kwh: Option<f64>,
    /// `carbon.market_based_source`: what that rests on.
    pub market_based_source: Option<String>,
    /// `carbon.price_per_kwh`.
    pub price_per_kwh: Option<f64>,
    /// `carbon.currency`.
    pub currency: Option<String>,
}

/// Litres of water.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Water {
    /// Evaporated on site by the cooling: IT energy × WUE.
    pub site_litres: Option<f64>,
    /// At the power stations: facility energy × the grid's WUE.
    pub grid_litres: Option<f64>,
}

impl Water {
    /// What is known of it.
    pub fn litres(self) -> f64 {
        self.site_litres.unwrap_or(0.0) + self.grid_litres.unwrap_or(0.0)
    }
}

impl Accounting {
    /// E_IT × (WUE of the site + PUE × WUE of the grid); ISO/IEC 30134-9 for the first.
    pub fn water(&self, it_kwh: f64, pue: f64) -> Option<Water> {
        let water = Water {
            site_litres: self.wue.map(|wue| it_kwh * wue),
            grid_litres: self.grid_wue.map(|wue| it_kwh * pue * wue),
        };
        (self.wue.is_some() || self.grid_wue.is_some()).then_some(water)
    }
}
