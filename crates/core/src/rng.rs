//! The source of randomness: one seeded generator, passed as an argument.
//!
//! Invariants: the generator is ChaCha20, so its output is fit for keys, nonces and slugs when the seed comes from the
//! operating system, and is reproducible byte for byte when the seed comes from a test. In production each draw is also
//! mixed with fresh bytes from the operating system, so two clones of a virtual machine never draw the same nonce.
//! Deliberately absent: self-seeding.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A source of random bytes, shared by reference.
pub struct Rng {
    generator: Mutex<ChaCha20Rng>,
    fresh: Option<fn(&mut [u8])>,
}

impl Rng {
    /// A source whose output depends only on `seed`.
    pub fn seeded(seed: [u8; 32]) -> Self {
        Self { generator: Mutex::new(ChaCha20Rng::from_seed(seed)), fresh: None }
    }

    /// A source that mixes bytes from `fresh` into each draw. If `fresh` fails, it leaves zeros, and the output still
    /// depends on the seed.
    pub fn mixed(seed: [u8; 32], fresh: fn(&mut [u8])) -> Self {
        Self { fresh: Some(fresh), ..Self::seeded(seed) }
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        // A panic in another thread cannot leave the generator in an invalid state.
        self.generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        if let Some(fresh) = self.fresh {
            let mut others = [0; N];
            fresh(&mut others);
            bytes.iter_mut().zip(others).for_each(|(byte, other)| *byte ^= other);
        }
        bytes
    }

    /// A number in `[0, 1)`.
    pub fn next_f64(&self) -> f64 {
        (u64::from_le_bytes(self.bytes()) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `N` random bytes in lowercase base 32 without look-alike characters, for slugs and keys.
    pub fn token<const N: usize>(&self) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let (mut text, mut held, mut bits) = (String::with_capacity(N * 8 / 5 + 1), 0_u32, 0);
        for byte in self.bytes::<N>() {
            held = held << 8 | u32::from(byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(LETTERS[(held >> bits) as usize & 31] as char);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_draw_different_bytes() {
        let draw = |fresh: fn(&mut [u8])| Rng::mixed([7; 32], fresh).bytes::<24>();
        assert_ne!(draw(|bytes| bytes.fill(1)), draw(|bytes| bytes.fill(2)));
        assert_eq!(
            draw(|_| {}),
            Rng::seeded([7; 32]).bytes::<24>(),
            "without fresh bytes the output depends only on the seed"
        );
    }

    #[test]
    fn one_seed_one_sequence() {
        let draw = || {
            let rng = Rng::seeded([7; 32]);
            (rng.token::<20>(), rng.bytes::<4>())
        };
        assert_eq!(draw(), draw());
        assert_eq!(draw().0.len(), 32);
        assert_ne!(Rng::seeded([8; 32]).token::<20>(), draw().0);
    }

    #[test]
    fn fractions_stay_below_one() {
        let rng = Rng::seeded([9; 32]);
        assert!((0..1_000).map(|_| rng.next_f64()).all(|f| (0.0..1.0).contains(&f)));
    }
}
