//! Which flows are looked at when there is no time for all.

/// One flow in so many, chosen by the hash of its key: so a flow is looked at whole, in both directions, or not at all.
/// The hash is keyed per process, so nobody outside can choose tuples that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling(u32);

impl Sampling {
    pub const ALL: Self = Self(1);

    /// `one_in`: 1 for all, 0 for none.
    pub fn new(one_in: u32) -> Self {
        Self(one_in)
    }

    /// The value of `flow_sampling_rate`.
    pub fn one_in(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub fn takes(self, hash: u64) -> bool {
        self.0 == 1 || self.chooses(hash)
    }

    /// Mixed, because the table puts flows in order by the same hash: those that are taken must spread over it.
    #[inline]
    fn chooses(self, hash: u64) -> bool {
        self.0 != 0 && ((u128::from(mix(hash)) * u128::from(self.0)) >> 64) == 0
    }
}

/// The finaliser of MurmurHash3 (Appleby), a bijection.
fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_so_many() {
        let taken = |one_in| (0..100_000u64).filter(|&hash| Sampling::new(one_in).takes(hash << 7)).count();
        assert_eq!((taken(1), taken(0)), (100_000, 0));
        assert!((49_000..51_000).contains(&taken(2)), "{}", taken(2));
        assert!((900..1100).contains(&taken(100)), "{}", taken(100));
    }

    #[test]
    fn what_a_higher_rate_takes_a_lower_one_takes_too() {
        let taken = |one_in| move |hash: &u64| Sampling::new(one_in).takes(*hash);
        assert!((0..10_000).filter(taken(64)).all(|hash| Sampling::new(8).takes(hash)));
    }
}
