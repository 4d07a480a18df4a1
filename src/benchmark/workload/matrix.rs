// SPDX-License-Identifier: Apache-2.0
//! `matrix/1`: products of square matrices of `f32`, in blocks, on all cores.
//!
//! A₀ and B hold whole numbers from -4 to 4; Aₖ₊₁ is Aₖ × B, each entry taken modulo 9 and
//! back to that range, so that no product can be left out. All sums are whole numbers
//! below 2^24 in size, which `f32` holds exactly whatever the order: a right result has
//! the same digits on every machine. A product of n rows is 2n³ floating-point
//! operations. Each thread has rows of its own and waits for no other. Compiled for the
//! architecture's baseline, so that it is a fixed work and not the machine's peak.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use super::random::Random;
use super::{News, WrongResult, digest};

/// Rows of a matrix in the standard size.
pub(super) const SIZE: usize = 2_048;
/// Products of a run.
const PRODUCTS: usize = 8;
/// What the digest of A₈ in the standard size is.
pub(super) const DIGEST: u64 = 0xf917_fa5b_799e_396f;

/// Entries are from minus this to this.
const LARGEST: i32 = 4;
/// Rows and columns of a tile, which stays in registers (16 of four `f32` on x86-64).
const ROWS: usize = 4;
const COLUMNS: usize = 8;
/// Of the sum's terms, how many are taken at a time: a panel of B is 8 KiB.
const DEPTH: usize = 256;
/// Tiles of rows taken at a time: 128 rows, 128 KiB of A.
const TILES: usize = 32;

type Tile = [[f32; COLUMNS]; ROWS];

/// The right factor, and what checks products with it.
struct Right {
    size: usize,
    /// Of [`DEPTH`] rows each: panels of [`COLUMNS`] columns, row by row.
    panels: Vec<Vec<[f32; COLUMNS]>>,
    /// v, and B × v: a product C is right where C × v is A × (B × v) (Freivalds 1977).
    probe: Vec<i64>,
    probed: Vec<i64>,
}

/// All products of a run; the digest of the last result.
pub(super) fn run(
    size: usize,
    threads: usize,
    news: &mut dyn FnMut(News),
) -> Result<u64, WrongResult> {
    let mut left = entries(size, 1);
    let right = Right::new(size, &entries(size, 2));
    // Whole tiles to each thread; the last one may have fewer.
    let rows = size.div_ceil(ROWS).div_ceil(threads) * ROWS;
    let (send, steps) = channel();
    let wrong = thread::scope(|scope| {
        let workers: Vec<_> = left
            .chunks_mut(rows * size)
            .map(|rows| {
                let (right, send) = (&right, send.clone());
                scope.spawn(move || multiply_again_and_again(rows, right, &send))
            })
            .collect();
        drop(send);
        let (mut rows_done, mut said) = (0, 0);
        for rows in steps {
            rows_done += rows;
            while (said + 1) * size <= rows_done {
                said += 1;
                news(News { units: 1, line: None });
            }
        }
        // A panic of a worker is passed on by the scope.
        workers.into_iter().filter_map(|worker| worker.join().ok()).find_map(Result::err)
    });
    match wrong {
        Some(wrong) => Err(wrong),
        None => Ok(digest(left.iter().map(|entry| (*entry as i32).cast_unsigned()))),
    }
}

/// A matrix by a seed, row by row.
fn entries(size: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let count = LARGEST.unsigned_abs() * 2 + 1;
    (0..size * size).map(|_| (random.below(u64::from(count)) as i32 - LARGEST) as f32).collect()
}

/// Replaces these rows of A by their product, so often as a run has products.
fn multiply_again_and_again(
    left: &mut [f32],
    right: &Right,
    done: &Sender<usize>,
) -> Result<(), WrongResult> {
    let mut product = vec![0.0; left.len()];
    for number in 1..=PRODUCTS {
        right.multiply(left, &mut product);
        right.check(left, &product).map_err(|row| {
            WrongResult(format!("product {number} is wrong in row {row} of a thread's rows"))
        })?;
        for (entry, sum) in left.iter_mut().zip(&product) {
            *entry = ((*sum as i32).rem_euclid(2 * LARGEST + 1) - LARGEST) as f32;
        }
        // Nobody listens any more only where all has ended.
        _ = done.send(left.len() / right.size);
    }
    Ok(())
}

impl Right {
    fn new(size: usize, matrix: &[f32]) -> Right {
        let mut random = Random::new(3);
        let probe: Vec<i64> = (0..size).map(|_| random.below(2_001) as i64 - 1_000).collect();
        let probed = matrix.chunks_exact(size).map(|row| dot(row, &probe)).collect();
        let panels = matrix.chunks(DEPTH * size).map(|rows| panels_of(rows, size)).collect();
        Right { size, panels, probe, probed }
    }

    /// `product` = `left` × B, for some rows.
    fn multiply(&self, left: &[f32], product: &mut [f32]) {
        product.fill(0.0);
        let mut packed = Vec::new();
        for (part, panels) in self.panels.iter().enumerate() {
            let depth = panels.len() * COLUMNS / self.size;
            let rows = TILES * ROWS * self.size;
            for (left, product) in left.chunks(rows).zip(product.chunks_mut(rows)) {
                pack(left, self.size, part * DEPTH..part * DEPTH + depth, &mut packed);
                for (panel, right) in panels.chunks_exact(depth).enumerate() {
                    let tiles = packed.chunks_exact(depth);
                    for (left, rows) in tiles.zip(product.chunks_mut(ROWS * self.size)) {
                        add(&tile(left, right), rows, self.size, panel * COLUMNS);
                    }
                }
            }
        }
    }

    /// Compares exactly.
    ///
    /// # Errors
    /// The first row that is wrong.
    fn check(&self, left: &[f32], product: &[f32]) -> Result<(), usize> {
        let rows = left.chunks_exact(self.size).zip(product.chunks_exact(self.size));
        match rows.into_iter().position(|(a, c)| dot(c, &self.probe) != dot(a, &self.probed)) {
            Some(row) => Err(row),
            None => Ok(()),
        }
    }
}

/// Exact: entries are whole, sums stay below 2^45.
fn dot(row: &[f32], column: &[i64]) -> i64 {
    row.iter().zip(column).map(|(a, b)| i64::from(*a as i32) * b).sum()
}

/// Some rows of B as panels of a few columns.
fn panels_of(rows: &[f32], size: usize) -> Vec<[f32; COLUMNS]> {
    (0..size)
        .step_by(COLUMNS)
        .flat_map(|column| {
            rows.chunks_exact(size)
                .map(move |row| std::array::from_fn(|offset| row[column + offset]))
        })
        .collect()
}

/// Some columns of A's rows as tiles of a few rows, column by column.
fn pack(left: &[f32], size: usize, columns: std::ops::Range<usize>, packed: &mut Vec<[f32; ROWS]>) {
    packed.clear();
    for rows in left.chunks(ROWS * size) {
        for column in columns.clone() {
            // Rows that are not there are 0 and are never written back.
            let entry = |row: usize| rows.get(row * size + column).copied().unwrap_or(0.0);
            packed.push(std::array::from_fn(entry));
        }
    }
}

/// The product of a tile of rows and a panel of columns.
fn tile(left: &[[f32; ROWS]], right: &[[f32; COLUMNS]]) -> Tile {
    let mut sums = [[0.0; COLUMNS]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for (sums, left) in sums.iter_mut().zip(left) {
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum += left * right;
            }
        }
    }
    sums
}

fn add(tile: &Tile, rows: &mut [f32], size: usize, column: usize) {
    for (row, sums) in rows.chunks_exact_mut(size).zip(tile) {
        for (entry, sum) in row[column..column + COLUMNS].iter_mut().zip(sums) {
            *entry += sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(left: &[f32], right: &[f32], size: usize) -> Vec<f32> {
        let entry = |row: usize, column: usize| {
            (0..size).map(|k| left[row * size + k] * right[k * size + column]).sum()
        };
        (0..size * size).map(|place| entry(place / size, place % size)).collect()
    }

    #[test]
    fn blocks_give_the_product_of_the_definition() {
        // Below, at and above the blocks' edges (256 terms, 128 rows), whole tiles and not.
        for (size, rows) in [(8, 8), (8, 3), (24, 17), (136, 136), (264, 130)] {
            let (left, right) = (entries(size, 5), entries(size, 6));
            let mut product = vec![9.0; rows * size];
            Right::new(size, &right).multiply(&left[..rows * size], &mut product);
            assert!(product == naive(&left, &right, size)[..rows * size], "{size}, {rows} rows");
        }
    }

    #[test]
    fn one_wrong_entry_is_found() {
        let size = 16;
        let (left, right) = (entries(size, 5), Right::new(size, &entries(size, 6)));
        let mut product = vec![0.0; size * size];
        right.multiply(&left, &mut product);
        assert_eq!(right.check(&left, &product), Ok(()));
        product[3 * size + 7] += 1.0;
        assert_eq!(right.check(&left, &product), Err(3));
    }

    #[test]
    fn the_result_and_the_count_hang_on_no_number_of_threads() {
        let of = |threads| {
            let mut units = 0;
            let digest = run(40, threads, &mut |news| units += news.units);
            (digest, units)
        };
        let one = of(1);
        assert_eq!(one.1, PRODUCTS as u64);
        for threads in [2, 3, 7, 64] {
            assert_eq!(of(threads), one, "{threads} threads");
        }
    }

    #[test]
    fn the_chain_is_that_of_the_definition() {
        let size = 16;
        let mut left = entries(size, 1);
        for _ in 0..PRODUCTS {
            let product = naive(&left, &entries(size, 2), size);
            left = product.iter().map(|sum| (*sum as i32).rem_euclid(9) as f32 - 4.0).collect();
        }
        let expected = digest(left.iter().map(|entry| (*entry as i32).cast_unsigned()));
        assert_eq!(run(size, 2, &mut |_| {}), Ok(expected));
    }
}
