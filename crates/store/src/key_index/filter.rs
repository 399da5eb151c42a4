//! A Bloom filter over the keys of a run: says of most keys that are not in the run that they are not, without a look at
//! the run. All bits of a key are in one block of 64 bytes, so that a question costs one access to memory.

/// With six probes about one key in eighty is taken for one of the run.
const BITS_PER_KEY: usize = 10;
const WORDS_PER_BLOCK: usize = 8;
const BITS_PER_BLOCK: usize = 512;
/// 4 MiB. The few largest runs get fewer bits for a key and are looked into more often instead.
const BLOCKS_MOST: usize = 65_536;
/// Six times nine bits, the place in a block, can be taken from a key of 64 bits.
const PROBES_MOST: usize = 6;

/// The filter of one run.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// How many bits of its block a key sets.
    probes: usize,
    words: Vec<u64>,
}

impl Filter {
    /// An empty filter for so many keys.
    pub(super) fn sized_for(keys: usize) -> Self {
        let blocks = (keys * BITS_PER_KEY)
            .div_ceil(BITS_PER_BLOCK)
            .clamp(1, BLOCKS_MOST);
        // The best number of probes is 0.7 times the bits that a key has.
        let probes = blocks * BITS_PER_BLOCK * 7 / (keys.max(1) * 10);
        Self::empty(blocks, probes.clamp(1, PROBES_MOST))
    }

    /// An empty filter of a known shape.
    pub(super) fn empty(blocks: usize, probes: usize) -> Self {
        Self {
            probes: probes.min(PROBES_MOST),
            words: vec![0; blocks.max(1) * WORDS_PER_BLOCK],
        }
    }

    pub(super) fn blocks(&self) -> usize {
        self.words.len() / WORDS_PER_BLOCK
    }

    pub(super) fn probes(&self) -> usize {
        self.probes
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.words
    }

    /// To be filled with what [`Filter::words`] gave.
    pub(super) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    pub(super) fn add(&mut self, key: u64) {
        let block = self.block(key);
        for (word, bit) in bits(key, self.probes) {
            self.words[block + word] |= bit;
        }
    }

    /// False only if the key was never added.
    pub(super) fn may_hold(&self, key: u64) -> bool {
        let block = self.block(key);
        bits(key, self.probes).all(|(word, bit)| self.words[block + word] & bit != 0)
    }

    /// The first word of the block of a key: keys are spread evenly from the first block to the last.
    fn block(&self, key: u64) -> usize {
        let block = (u128::from(key) * self.blocks() as u128) >> 64;
        usize::try_from(block).unwrap_or_default() * WORDS_PER_BLOCK
    }
}

/// Words in a block, and the bit in each of them. The high bits of a key, which all keys of a block share, are mixed with
/// the others first.
fn bits(key: u64, probes: usize) -> impl Iterator<Item = (usize, u64)> {
    let mixed = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 10;
    (0..probes).map(move |probe| {
        let place = mixed >> (9 * probe);
        let word = usize::try_from((place >> 6) & 7).unwrap_or_default();
        (word, 1 << (place & 63))
    })
}
