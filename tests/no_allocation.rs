// SPDX-License-Identifier: Apache-2.0
//! Reading sensors allocates nothing, which a tick of the daemon rests on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use aimeter::meter::counter::CounterTracker;
use aimeter::sensors::estimate::Estimate;
use aimeter::sensors::{ReadError, Roots, Value, local_sources};
use powercap_standin::{Chip, PowercapTree, Trace};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc`, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn reading_every_source_and_moving_every_counter_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = Chip::new("amdgpu", "0000:03:00.0").sensor("power1_average", Trace::constant(40));
    let tree = PowercapTree::builder()
        .package(0, Trace::constant(100))
        .dram(0, Trace::constant(10))
        .hwmon(gpu);
    tree.write_to(folder.path()).unwrap();
    let roots = Roots { sysfs: folder.path().into(), ..Roots::default() };
    let mut sources = local_sources(&roots);
    sources.push(Box::new(Estimate::new(&roots)));
    for source in &mut sources {
        let domains = source.discover().domains;
        assert!(!domains.is_empty(), "{}", source.name());
        let mut trackers: Vec<_> = domains.iter().map(CounterTracker::new).collect();
        let mut slots = vec![Err(ReadError::NoData("not read")); domains.len()];
        let before = CALLS.with(Cell::get);
        for _ in 0..10 {
            source.read(&mut slots);
            for (slot, tracker) in slots.iter().zip(&mut trackers) {
                if let Ok(reading) = slot
                    && let Value::Counter(energy) = reading.value
                {
                    tracker.feed(reading.at, energy, std::time::Duration::from_secs(1));
                }
            }
        }
        assert_eq!(CALLS.with(Cell::get) - before, 0, "{}", source.name());
        assert!(slots.iter().all(Result::is_ok), "{}: {slots:?}", source.name());
    }
}
