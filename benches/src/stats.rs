//! Percentiles, means and slopes.

/// Sorted values.
pub(crate) struct Sorted(Vec<f64>);

impl Sorted {
    pub(crate) fn new(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value that `share` of all values do not exceed; 0 if there are none.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let index = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(index.saturating_sub(1).min(last)).copied().unwrap_or(0.0)
    }

    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }

    /// The number of values below `value`.
    pub(crate) fn below(&self, value: f64) -> usize {
        self.0.partition_point(|v| *v < value)
    }
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The slope of the least-squares line through the points; 0 for fewer than two.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let above: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    let below: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted = Sorted::new((1..=100).map(f64::from));
        assert_eq!((sorted.median(), sorted.at(0.99), sorted.at(1.0)), (50.0, 99.0, 100.0));
        assert_eq!((sorted.below(1.0), sorted.below(2.5)), (0, 2));
        assert_eq!(Sorted::new([]).at(0.99), 0.0);
    }

    #[test]
    fn a_straight_line_has_its_slope() {
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        assert!((slope(&line) - 2.0).abs() < 1e-9);
        assert_eq!(slope(&line[..1]), 0.0);
    }
}
