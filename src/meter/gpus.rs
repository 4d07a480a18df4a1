// stub
use super::Point;
pub use crate::sensors::nvml::{GpuIdentity, GpuUser};
use crate::sensors::*;
use crate::units::*;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct GpuDevice {
    pub identity: GpuIdentity,
    pub domain: Domain,
}
pub enum GpuEvent {
    Opened { devices: Vec<GpuDevice>, missing: Vec<Missing>, epoch: String },
    Closed { why: String },
    Reading { gpu: usize, result: Result<Reading, ReadError> },
    Edge { gpu: usize, asked: BootTime, result: Result<Point, ReadError> },
    Users { gpu: usize, users: Vec<GpuUser> },
}
pub struct GpuOptions {
    pub library: Option<PathBuf>,
    pub period: Duration,
    pub roots: Roots,
}
pub struct GpuMonitor {}
impl GpuMonitor {
    pub fn start(
        _o: GpuOptions,
        _e: SyncSender<GpuEvent>,
        _w: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        GpuMonitor {}
    }
    pub fn edge(&self, _g: usize, _a: BootTime) {}
    pub fn refresh_users(&self, _g: usize) {}
    pub fn release(&self) {}
    pub fn reclaim(&self) {}
    pub fn set_period(&self, _p: Duration) {}
    pub fn stop(self) {}
    pub fn wait_ready(&self, _t: Duration) {}
}
