// SPDX-License-Identifier: Apache-2.0
//! `training/1`: a network of two layers learns sixteen classes by gradient descent.
//!
//! Data are made by a seed: each class is four clouds in 64 dimensions, so that no linear
//! model tells them apart. The threads share each batch; gradients are summed by shard and
//! the shards in their order, so that the weights are the same to the last bit on any
//! number of threads (more than 64 have nothing to do). The loss is half of the squared
//! error: it needs no exponential, whose last bits differ between libraries.

mod network;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Barrier, Mutex, PoisonError, RwLock};
use std::thread;

use super::random::Random;
use super::{News, WrongResult, digest};
use network::{CLASSES, INPUTS, WEIGHTS};

/// Samples of an epoch in the standard size.
pub(super) const SIZE: usize = 65_536;
/// What the digest of the weights after a run in the standard size is.
pub(super) const DIGEST: u64 = 0xcdfa_ec53_48a3_e889;

const EPOCHS: usize = 32;
/// Samples of a step at most.
const BATCH: usize = 1_024;
/// Parts of a batch whose gradients are summed up one by one.
const SHARDS: usize = 64;
/// The part of the samples not seen in training that must be told right in the standard
/// size.
const ACCURACY: f64 = 0.95;

const RATE: f32 = 1.0 / 64.0;
const MOMENTUM: f32 = 0.875;
const CLOUDS: usize = 4;
/// Deviation of a cloud's samples around its middle, whose coordinates are -1 and 1.
const SPREAD: f32 = 1.25;

/// Samples with their classes.
#[derive(Debug, Default)]
struct Samples {
    inputs: Vec<[f32; INPUTS]>,
    classes: Vec<u8>,
}

/// A part of a batch's result.
struct Shard {
    gradient: Vec<f32>,
    loss: f64,
}

/// What the threads share.
struct Shared {
    training: Samples,
    test: Samples,
    threads: usize,
    shards: Vec<RwLock<Shard>>,
    /// By thread: its part of the weights after a step.
    parts: Vec<RwLock<Vec<f32>>>,
    /// Samples of the test told right, by epoch.
    right: Vec<AtomicUsize>,
    all: Barrier,
}

/// Trains; the digest of the weights.
pub(super) fn run(
    size: usize,
    threads: usize,
    news: &mut dyn FnMut(News),
) -> Result<u64, WrongResult> {
    let (weights, accuracy) = train(size, threads.min(SHARDS), news);
    if let Some(place) = weights.iter().position(|weight| !weight.is_finite()) {
        return Err(WrongResult(format!("weight {place} is {}", weights[place])));
    }
    // Smaller sizes are too few samples to learn from.
    if size >= SIZE && accuracy < ACCURACY {
        return Err(WrongResult(format!("it reached an accuracy of {accuracy}, not {ACCURACY}")));
    }
    Ok(digest(weights.iter().map(|weight| weight.to_bits())))
}

/// The weights after all epochs, and the accuracy then.
fn train(size: usize, threads: usize, news: &mut dyn FnMut(News)) -> (Vec<f32>, f64) {
    let mut random = Random::new(1);
    let middles = middles(&mut random);
    let shared = Shared {
        training: samples(&middles, size, &mut random),
        test: samples(&middles, size / 16, &mut random),
        threads,
        shards: (0..SHARDS)
            .map(|_| RwLock::new(Shard { gradient: vec![0.0; WEIGHTS], loss: 0.0 }))
            .collect(),
        parts: (0..threads).map(|_| RwLock::default()).collect(),
        right: (0..EPOCHS).map(|_| AtomicUsize::new(0)).collect(),
        all: Barrier::new(threads),
    };
    let weights = network::first_weights(&mut random);
    let (send, steps) = channel();
    let trained = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for worker in 0..threads {
            let (shared, weights, trained) = (&shared, weights.clone(), &trained);
            let send = (worker == 0).then(|| send.clone());
            scope.spawn(move || {
                let last = worker == 0;
                let weights = shared.work(worker, weights, send.as_ref());
                if last {
                    *trained.lock().unwrap_or_else(PoisonError::into_inner) = weights;
                }
            });
        }
        drop(send);
        steps.into_iter().for_each(news);
    });
    let weights = trained.into_inner().unwrap_or_else(PoisonError::into_inner);
    (weights, shared.accuracy(EPOCHS - 1))
}

/// The middles of the clouds, class by class.
fn middles(random: &mut Random) -> Vec<[f32; INPUTS]> {
    let mut sign = || if random.below(2) == 0 { -1.0 } else { 1.0 };
    (0..CLASSES * CLOUDS).map(|_| std::array::from_fn(|_| sign())).collect()
}

fn samples(middles: &[[f32; INPUTS]], count: usize, random: &mut Random) -> Samples {
    let mut samples = Samples::default();
    for _ in 0..count {
        let cloud = random.below(middles.len() as u64) as usize;
        let input = middles[cloud].map(|middle| (middle + SPREAD * random.bell()) * 0.5);
        samples.inputs.push(input);
        samples.classes.push((cloud / CLOUDS) as u8);
    }
    samples
}

impl Shared {
    /// All steps of one thread; the weights at the end. The first thread tells of them.
    fn work(&self, worker: usize, mut weights: Vec<f32>, news: Option<&Sender<News>>) -> Vec<f32> {
        let mut speed = vec![0.0; self.part(worker).len()];
        let batch = self.training.inputs.len().min(BATCH);
        for epoch in 0..EPOCHS {
            let mut loss = 0.0;
            for first in (0..self.training.inputs.len()).step_by(batch) {
                self.gradients(worker, &weights, first, batch);
                self.all.wait();
                loss += self.descend(worker, &weights, &mut speed, batch);
                self.all.wait();
                self.take_up(&mut weights);
                // Nobody listens any more only where all has ended.
                news.iter().for_each(|news| {
                    _ = news.send(News { units: batch as u64, line: None });
                });
            }
            self.test(worker, &weights, epoch);
            self.all.wait();
            let loss = loss / self.training.inputs.len() as f64;
            let accuracy = self.accuracy(epoch);
            let line = format!("epoch {} loss {loss:.6} accuracy {accuracy:.4}", epoch + 1);
            news.iter().for_each(|news| {
                _ = news.send(News { units: 0, line: Some(line.clone()) });
            });
        }
        weights
    }

    /// The weights that a thread changes.
    fn part(&self, worker: usize) -> std::ops::Range<usize> {
        let edge = |worker: usize| WEIGHTS * worker / self.threads;
        edge(worker)..edge(worker + 1)
    }

    /// Gradients of a thread's shards of the batch.
    fn gradients(&self, worker: usize, weights: &[f32], first: usize, batch: usize) {
        let samples = batch / SHARDS;
        for number in (worker..SHARDS).step_by(self.threads) {
            let begin = first + number * samples;
            let mut shard = self.shards[number].write().unwrap_or_else(PoisonError::into_inner);
            let Shard { gradient, loss } = &mut *shard;
            gradient.fill(0.0);
            let inputs = &self.training.inputs[begin..begin + samples];
            let classes = &self.training.classes[begin..begin + samples];
            *loss = network::gradient(weights, inputs, classes, gradient);
        }
    }

    /// Changes a thread's part of the weights by all shards' gradients; their loss.
    fn descend(&self, worker: usize, weights: &[f32], speed: &mut [f32], batch: usize) -> f64 {
        let range = self.part(worker);
        let mut sum = vec![0.0; range.len()];
        let mut loss = 0.0;
        for shard in &self.shards {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            for (sum, gradient) in sum.iter_mut().zip(&shard.gradient[range.clone()]) {
                *sum += gradient;
            }
            loss += shard.loss;
        }
        let mut part = self.parts[worker].write().unwrap_or_else(PoisonError::into_inner);
        part.clear();
        part.extend_from_slice(&weights[range]);
        let scale = RATE / batch as f32;
        for ((weight, speed), sum) in part.iter_mut().zip(speed).zip(&sum) {
            *speed = MOMENTUM * *speed - scale * sum;
            *weight += *speed;
        }
        loss
    }

    /// All threads' parts.
    fn take_up(&self, weights: &mut [f32]) {
        for (worker, part) in self.parts.iter().enumerate() {
            let part = part.read().unwrap_or_else(PoisonError::into_inner);
            weights[self.part(worker)].copy_from_slice(&part);
        }
    }

    /// Counts what is told right in a thread's part of the test.
    fn test(&self, worker: usize, weights: &[f32], epoch: usize) {
        let samples = self.test.inputs.iter().zip(&self.test.classes);
        let mine = samples.skip(worker).step_by(self.threads);
        let right = mine.filter(|(input, class)| network::told(weights, input) == **class).count();
        self.right[epoch].fetch_add(right, Relaxed);
    }

    fn accuracy(&self, epoch: usize) -> f64 {
        self.right[epoch].load(Relaxed) as f64 / self.test.inputs.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST_OF_128: u64 = 0x9363ebcdbfb7f80a;

    #[test]
    fn weights_and_news_hang_on_no_number_of_threads() {
        let of = |threads| {
            let mut heard = (0, Vec::new());
            let result = run(128, threads, &mut |news| {
                heard.0 += news.units;
                heard.1.extend(news.line);
            });
            (result.unwrap(), heard)
        };
        let one = of(1);
        // As an optimised build has it: what a compiler does must not show.
        assert_eq!(one.0, DIGEST_OF_128);
        assert_eq!(one.1.0, 128 * EPOCHS as u64);
        assert_eq!(one.1.1.len(), EPOCHS);
        for threads in [2, 3, 5, 64, 100] {
            assert_eq!(of(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn it_learns() {
        let mut losses = Vec::new();
        let (_, accuracy) = train(1_024, 2, &mut |news| {
            let loss = news.line.as_deref().and_then(|line| line.split(' ').nth(3));
            losses.extend(loss.map(|loss| loss.parse::<f64>().unwrap()));
        });
        // One class in sixteen is told right by chance.
        assert!(losses[EPOCHS - 1] < 0.5 * losses[0] && accuracy > 0.5, "{losses:?} {accuracy}");
    }
}
