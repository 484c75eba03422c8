//! Files of any content: the body of the fuzz target, on what begins as files of each kind do.

#[path = "../../../fuzz/bodies/files.rs"]
mod body;
mod support;

use std::sync::LazyLock;

use proptest::prelude::*;

static FILES: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(support::files);

#[test]
fn whole_files_are_played() {
    for (name, bytes) in &*FILES {
        assert!(body::run(bytes) >= 10, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn heads_with_anything_behind_them_end(
        which in 0_usize..14,
        keep in 4_usize..400,
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (_, bytes) = &FILES[which % FILES.len()];
        let keep = keep.min(bytes.len());
        body::run(&[&bytes[..keep], &tail].concat());
    }

    #[test]
    fn parts_of_one_file_in_another_end(
        which in any::<[usize; 2]>(),
        at in any::<[usize; 3]>(),
    ) {
        let [(_, one), (_, other)] = which.map(|n| &FILES[n % FILES.len()]);
        let at = [at[0] % one.len().min(2_000), at[1] % other.len(), at[2] % 300];
        let mut bytes = one[..one.len().min(20_000)].to_vec();
        let part = &other[at[1]..(at[1] + at[2]).min(other.len())];
        let end = (at[0] + part.len()).min(bytes.len());
        bytes.splice(at[0].min(end)..end, part.iter().copied());
        body::run(&bytes);
    }
}
