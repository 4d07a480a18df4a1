// SPDX-License-Identifier: Apache-2.0
//! The network: 64 inputs, 256 hidden units that are linear above 0 (ReLU), 16 outputs.
//!
//! Its weights are one row of numbers: of the hidden layer by input, its biases, of the
//! outputs by hidden unit, their biases. Every sum is taken in one fixed order.

use super::Random;

/// Numbers of an input.
pub(super) const INPUTS: usize = 64;
/// Units between.
const HIDDEN: usize = 256;
/// Classes, one output each: 1 for the right one, else 0.
pub(super) const CLASSES: usize = 16;
/// Weights in all.
pub(super) const WEIGHTS: usize = (INPUTS + 1) * HIDDEN + (HIDDEN + 1) * CLASSES;

/// The weights by layer.
struct Layers<'a> {
    hidden: &'a [[f32; HIDDEN]],
    hidden_bias: &'a [f32],
    output: &'a [[f32; CLASSES]],
    output_bias: &'a [f32],
}

impl Layers<'_> {
    fn of(weights: &[f32]) -> Layers<'_> {
        let (hidden, rest) = weights.split_at(INPUTS * HIDDEN);
        let (hidden_bias, rest) = rest.split_at(HIDDEN);
        let (output, output_bias) = rest.split_at(HIDDEN * CLASSES);
        let (hidden, output) = (hidden.as_chunks().0, output.as_chunks().0);
        Layers { hidden, hidden_bias, output, output_bias }
    }

    /// Activations of the hidden units, and outputs.
    fn forward(&self, input: &[f32; INPUTS]) -> ([f32; HIDDEN], [f32; CLASSES]) {
        let mut hidden = [0.0; HIDDEN];
        hidden.copy_from_slice(self.hidden_bias);
        for (input, weights) in input.iter().zip(self.hidden) {
            add_scaled(&mut hidden, weights, *input);
        }
        for unit in &mut hidden {
            *unit = if *unit > 0.0 { *unit } else { 0.0 };
        }
        let mut output = [0.0; CLASSES];
        output.copy_from_slice(self.output_bias);
        for (unit, weights) in hidden.iter().zip(self.output) {
            add_scaled(&mut output, weights, *unit);
        }
        (hidden, output)
    }
}

/// Random weights: of the hidden layer so that what goes through keeps its size (He et al.
/// 2015: variance 2 by inputs of the unit), of the outputs a quarter of that, so that the
/// first outputs are near 0; biases of 0.
pub(super) fn first_weights(random: &mut Random) -> Vec<f32> {
    let mut weights = vec![0.0; WEIGHTS];
    let (hidden, rest) = weights.split_at_mut(INPUTS * HIDDEN);
    hidden.fill_with(|| random.bell() * (2.0 / INPUTS as f32).sqrt());
    rest[HIDDEN..][..HIDDEN * CLASSES].fill_with(|| random.bell() * (0.125 / HIDDEN as f32).sqrt());
    weights
}

/// Adds the gradient of the samples' loss (half of the squared error, summed) and gives
/// the loss.
pub(super) fn gradient(
    weights: &[f32],
    inputs: &[[f32; INPUTS]],
    classes: &[u8],
    gradient: &mut [f32],
) -> f64 {
    let layers = Layers::of(weights);
    let (of_hidden, rest) = gradient.split_at_mut(INPUTS * HIDDEN);
    let (of_hidden_bias, rest) = rest.split_at_mut(HIDDEN);
    let (of_output, of_output_bias) = rest.split_at_mut(HIDDEN * CLASSES);
    let of_hidden: &mut [[f32; HIDDEN]] = of_hidden.as_chunks_mut().0;
    let of_output: &mut [[f32; CLASSES]] = of_output.as_chunks_mut().0;
    let mut loss = 0.0;
    for (input, class) in inputs.iter().zip(classes) {
        let (hidden, mut error) = layers.forward(input);
        error[usize::from(*class)] -= 1.0;
        loss += error.iter().map(|error| f64::from(*error) * f64::from(*error) / 2.0).sum::<f64>();
        add_scaled(of_output_bias, &error, 1.0);
        let mut back = [0.0; HIDDEN];
        for (unit, gradient) in of_output.iter_mut().enumerate() {
            if hidden[unit] > 0.0 {
                add_scaled(gradient, &error, hidden[unit]);
                back[unit] = dot(&error, &layers.output[unit]);
            }
        }
        add_scaled(of_hidden_bias, &back, 1.0);
        for (input, gradient) in input.iter().zip(&mut *of_hidden) {
            add_scaled(gradient, &back, *input);
        }
    }
    loss
}

/// The class that the network tells: the largest output, of equal ones the first.
pub(super) fn told(weights: &[f32], input: &[f32; INPUTS]) -> u8 {
    let (_, output) = Layers::of(weights).forward(input);
    let mut best = 0;
    for (class, value) in output.iter().enumerate() {
        if *value > output[best] {
            best = class;
        }
    }
    best as u8
}

fn add_scaled(sums: &mut [f32], values: &[f32], scale: f32) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += scale * value;
    }
}

/// In four partial sums, so that it can be done at four numbers at a time.
fn dot(a: &[f32; CLASSES], b: &[f32; CLASSES]) -> f32 {
    let mut sums = [0.0; 4];
    for place in 0..CLASSES {
        sums[place % 4] += a[place] * b[place];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_the_slope_of_the_loss() {
        let mut random = Random::new(9);
        let weights = first_weights(&mut random);
        let inputs: Vec<[f32; INPUTS]> =
            (0..3).map(|_| std::array::from_fn(|_| random.bell())).collect();
        let classes = [0, 7, 15];
        let mut exact = vec![0.0; WEIGHTS];
        gradient(&weights, &inputs, &classes, &mut exact);
        let loss = |place: usize, step: f32| {
            let mut moved = weights.clone();
            moved[place] += step;
            // What it really moved by, as a float.
            let by = f64::from(moved[place]) - f64::from(weights[place]);
            (gradient(&moved, &inputs, &classes, &mut vec![0.0; WEIGHTS]), by)
        };
        let largest = exact.iter().fold(0.0_f64, |most, slope| most.max(f64::from(*slope).abs()));
        // Every 97th weight: of both layers, and all biases of the outputs.
        let places = (0..WEIGHTS).step_by(97).chain(WEIGHTS - CLASSES..WEIGHTS);
        for place in places {
            let ((above, up), (below, down)) = (loss(place, 5e-3), loss(place, -5e-3));
            let slope = (above - below) / (up - down);
            let off = (slope - f64::from(exact[place])).abs();
            assert!(off < 2e-3 * largest, "{place}: {slope} and {}", exact[place]);
        }
    }

    #[test]
    fn the_class_of_the_largest_output_is_told() {
        let mut weights = vec![0.0; WEIGHTS];
        assert_eq!(told(&weights, &[1.0; INPUTS]), 0);
        weights[WEIGHTS - 3] = 1.0;
        assert_eq!(told(&weights, &[1.0; INPUTS]), 13);
    }
}
