// SPDX-License-Identifier: Apache-2.0
//! One GPU as a source with one domain, `nvml:<UUID>`.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper_sys::bindings::{nvmlSample_t, nvmlValue_t};

use super::errors::{read_error, unsupported};
use super::library::{Session, driver_epoch};
use super::power_state::PowerState;
use super::raw::{Handle, instance_ids, power_sample_count, power_samples};
use super::state::{self, GpuSetting, GpuState};
use super::users::{GpuUser, add_utilization, of_gpu, of_instances};
use super::{GpuIdentity, MigInstance};
use crate::clock;
use crate::sensors::{
    Discovery, Domain, DomainId, Kind, Method, ReadError, Reading, Roots, Source, Value,
};
use crate::units::{BootTime, Energy, Power};

/// The counter's refresh on recent GPUs (`sensors.md` 1.3); the true one is learned.
const UPDATE_PERIOD: Duration = Duration::from_millis(100);

/// RMS 3.7 % over 19 cards against an external meter (arXiv 2312.02741, its
/// data), times two for 95 %.
const GAIN_PERCENT: f64 = 7.5;

/// More than any board of today draws; used where no limit can be read.
const ANY_BOARD: Power = Power::from_watts(1_500);

/// Room for the driver's ring of samples (its length is undocumented; a second
/// at 2 ms each fits).
const SAMPLES: usize = 512;

/// What the driver writes where it has no value.
const NO_POWER: u64 = u32::MAX as u64;

/// One GPU.
pub struct NvmlGpu {
    session: Arc<Session>,
    handle: Handle,
    identity: GpuIdentity,
    domain: Domain,
    power_state: PowerState,
    roots: Roots,
    /// The buffer for the driver's ring; empty: the GPU has none.
    samples: Vec<nvmlSample_t>,
    /// The driver's time of the last utilisation sample, microseconds since 1970.
    last_utilization_us: u64,
}

impl NvmlGpu {
    /// The GPU of that index.
    pub(super) fn at(
        session: &Arc<Session>,
        index: u32,
        roots: &Roots,
        driver_version: &str,
    ) -> Result<NvmlGpu, NvmlError> {
        let nvml = session.nvml();
        let device = nvml.device_by_index(index)?;
        let handle = Handle::of(&device);
        let identity = identify(&device, index, driver_version)?;
        let method = match device.total_energy_consumption() {
            Err(error) if unsupported(&error) => Method::Power,
            _ => Method::Counter,
        };
        let has_ring = match power_sample_count(nvml, handle) {
            Ok(_) | Err(NvmlError::NotFound) => true,
            Err(_) => false,
        };
        let empty = nvmlSample_t { timeStamp: 0, sampleValue: nvmlValue_t { ullVal: 0 } };
        Ok(NvmlGpu {
            session: session.clone(),
            handle,
            domain: domain(&device, &identity, method),
            power_state: PowerState::of(roots, identity.pci_address.as_deref()),
            identity,
            roots: roots.clone(),
            samples: if has_ring { vec![empty; SAMPLES] } else { Vec::new() },
            last_utilization_us: 0,
        })
    }

    /// What GPU it is.
    pub fn identity(&self) -> &GpuIdentity {
        &self.identity
    }

    /// Its domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Reads the counter, or where there is none the power of now.
    ///
    /// # Errors
    /// As NVML's code says; `NoData` where the GPU sleeps and is left asleep.
    pub fn read_one(&self) -> Result<Reading, ReadError> {
        if self.power_state.asleep() {
            return Err(ReadError::NoData("asleep"));
        }
        let device = self.handle.device(self.session.nvml());
        let before = clock::now();
        let value = match self.domain.method {
            Method::Power => device.power_usage().map(|milliwatts| power_value(milliwatts.into())),
            _ => device.total_energy_consumption().map(counter_value),
        };
        let at = middle(before, clock::now());
        let value = value.map_err(|error| read_error(&error))??;
        Ok(Reading { at, value })
    }

    /// The driver's power samples after `since`, oldest first, each the power of
    /// the time since the one before; appended to `to`. Nothing where the driver
    /// has no ring for this GPU. Allocates nothing while `to` has room.
    ///
    /// # Errors
    /// As [`NvmlGpu::read_one`].
    pub fn power_samples(
        &mut self,
        since: BootTime,
        to: &mut Vec<(BootTime, Power)>,
    ) -> Result<(), ReadError> {
        if self.samples.is_empty() {
            return Ok(());
        }
        if self.power_state.asleep() {
            return Err(ReadError::NoData("asleep"));
        }
        let since_us = u64::try_from(clock::wall_at(since).as_microsecond()).unwrap_or(0);
        let nvml = self.session.nvml();
        match power_samples(nvml, self.handle, since_us, &mut self.samples) {
            Ok(samples) => {
                let samples = samples.filter(|sample| sample.milliwatts < NO_POWER);
                let samples = samples.filter_map(|sample| {
                    let at = i64::try_from(sample.at_us).ok().and_then(wall_moment)?;
                    Some((at, Power::from_milliwatts(sample.milliwatts)))
                });
                to.extend(samples.filter(|(at, _)| *at > since));
                Ok(())
            }
            Err(NvmlError::NotFound) => Ok(()),
            Err(error) => Err(read_error(&error)),
        }
    }

    /// Whether the driver keeps power samples of this GPU.
    pub fn has_power_samples(&self) -> bool {
        !self.samples.is_empty()
    }

    /// The processes that use the GPU; with their utilisation where wanted and
    /// where the GPU gives it (not with MIG). Slow: see [`GpuUser`]'s module.
    ///
    /// # Errors
    /// As [`NvmlGpu::read_one`].
    pub fn users(&mut self, utilization: bool) -> Result<Vec<GpuUser>, ReadError> {
        if self.power_state.asleep() {
            return Err(ReadError::NoData("asleep"));
        }
        let device = self.handle.device(self.session.nvml());
        if let Some(instances) = mig_instances(&device) {
            return of_instances(&instances).map_err(|error| read_error(&error));
        }
        let mut users = of_gpu(&device).map_err(|error| read_error(&error))?;
        if utilization && !users.is_empty() {
            match add_utilization(&device, &mut users, &mut self.last_utilization_us) {
                Err(error) if !unsupported(&error) => return Err(read_error(&error)),
                _ => {}
            }
        }
        Ok(users)
    }

    /// What it does now; nothing where it sleeps and is left asleep.
    pub fn state(&self) -> GpuState {
        if self.power_state.asleep() {
            return GpuState::default();
        }
        state::state(&self.handle.device(self.session.nvml()))
    }

    /// What is set on it; nothing where it sleeps and is left asleep.
    pub fn setting(&self) -> GpuSetting {
        if self.power_state.asleep() {
            return GpuSetting::default();
        }
        state::setting(&self.handle.device(self.session.nvml()))
    }

    /// Looks the GPU up again by its UUID: after it was lost its handle is void.
    ///
    /// # Errors
    /// While it does not answer.
    pub fn look_up_again(&mut self) -> Result<(), ReadError> {
        let nvml = self.session.nvml();
        let found = nvml.device_by_uuid(self.identity.uuid.as_str());
        let device = found.map_err(|error| read_error(&error))?;
        let index = device.index().unwrap_or(self.identity.index);
        let identity = identify(&device, index, &self.identity.driver_version)
            .map_err(|error| read_error(&error))?;
        self.domain = domain(&device, &identity, self.domain.method);
        self.handle = Handle::of(&device);
        self.power_state = PowerState::of(&self.roots, identity.pci_address.as_deref());
        self.identity = identity;
        Ok(())
    }
}

impl Source for NvmlGpu {
    fn name(&self) -> &'static str {
        "nvml"
    }

    fn discover(&mut self) -> Discovery {
        Discovery { domains: vec![self.domain.clone()], missing: Vec::new() }
    }

    fn read(&mut self, slots: &mut [Result<Reading, ReadError>]) {
        if let Some(slot) = slots.first_mut() {
            *slot = self.read_one();
        }
    }

    fn epoch(&self) -> String {
        driver_epoch(&self.roots, &self.identity.driver_version)
    }
}

/// A counter's value, unless it is what broken firmware writes instead of one.
fn counter_value(millijoules: u64) -> Result<Value, ReadError> {
    let sentinel = millijoules == u64::MAX || millijoules == u64::from(u32::MAX);
    match Energy::from_millijoules(millijoules) {
        Some(energy) if !sentinel => Ok(Value::Counter(energy)),
        _ => Err(ReadError::Failed("the driver gave a sentinel for the energy")),
    }
}

fn power_value(milliwatts: u64) -> Result<Value, ReadError> {
    if milliwatts == NO_POWER {
        return Err(ReadError::Failed("the driver gave a sentinel for the power"));
    }
    Ok(Value::Power(Power::from_milliwatts(milliwatts)))
}

fn middle(before: BootTime, after: BootTime) -> BootTime {
    before.plus(after.since(before) / 2)
}

fn wall_moment(microseconds: i64) -> Option<BootTime> {
    Timestamp::from_microsecond(microseconds).ok().map(clock::moment_of)
}

fn identify(
    device: &Device<'_>,
    index: u32,
    driver_version: &str,
) -> Result<GpuIdentity, NvmlError> {
    let pci = device.pci_info().ok();
    let instances = mig_instances(device);
    Ok(GpuIdentity {
        uuid: device.uuid()?,
        index,
        pci_address: pci
            .map(|pci| format!("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device)),
        name: device.name().unwrap_or_else(|_| "NVIDIA GPU".into()),
        driver_version: driver_version.to_owned(),
        power_limit: limit(device.enforced_power_limit()),
        persistence: device.is_in_persistent_mode().ok(),
        mig: instances
            .map(|instances| instances.into_iter().map(|(_, instance)| instance).collect()),
    })
}

pub(super) fn limit(milliwatts: Result<u32, NvmlError>) -> Option<Power> {
    let milliwatts = u64::from(milliwatts.ok()?);
    (milliwatts > 0 && milliwatts < NO_POWER).then(|| Power::from_milliwatts(milliwatts))
}

/// The MIG instances with their devices; `None` where MIG is off.
fn mig_instances<'n>(device: &Device<'n>) -> Option<Vec<(Device<'n>, MigInstance)>> {
    // 1: NVML_DEVICE_MIG_ENABLE.
    if device.mig_mode().ok()?.current != 1 {
        return None;
    }
    let most = device.mig_device_count().unwrap_or(0);
    let found = (0..most).filter_map(|index| {
        let instance = device.mig_device_by_index(index).ok()?;
        let described = describe_instance(&instance).ok()?;
        Some((instance, described))
    });
    Some(found.collect())
}

fn describe_instance(instance: &Device<'_>) -> Result<MigInstance, NvmlError> {
    let (gpu_instance, compute_instance) = instance_ids(instance.nvml(), Handle::of(instance))?;
    Ok(MigInstance {
        uuid: instance.uuid()?,
        gpu_instance,
        compute_instance,
        slices: instance.attributes()?.gpu_instance_slice_count,
    })
}

fn domain(device: &Device<'_>, identity: &GpuIdentity, method: Method) -> Domain {
    Domain {
        id: DomainId::new(&format!("nvml:{}", identity.uuid)),
        kind: Kind::Gpu,
        source: "nvml".into(),
        method,
        resolution: Energy::from_microjoules(1_000),
        range: None,
        update_period: UPDATE_PERIOD,
        max_power: max_power(device, identity.power_limit),
        overlap: None,
        gain_percent: Some(GAIN_PERCENT),
        model_percent: None,
        driver: Some(identity.driver_version.clone()),
        power_limit: identity.power_limit,
        device: identity.name.clone(),
    }
}

/// Half as much again as the highest limit that can be set: short overshoots of
/// the limit are normal, half of it over a counter's step is not.
fn max_power(device: &Device<'_>, enforced: Option<Power>) -> Power {
    let settable = device.power_management_limit_constraints().ok();
    let settable = settable.and_then(|constraints| limit(Ok(constraints.max_limit)));
    match settable.max(enforced) {
        Some(limit) => Power::from_microwatts(limit.microwatts() / 2 * 3),
        None => ANY_BOARD,
    }
}
