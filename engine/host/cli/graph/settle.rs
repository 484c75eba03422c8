//! Places in a column: as near as can be to where each would like to be, without overlap and in order.
//!
//! The sum of the weighted squares of what each is moved is least: isotonic regression by pooling adjacent
//! violators (Ayer et al. 1955), in linear time.

/// What is in a column, from its top.
pub struct Wish {
    /// Where it would like to have its upper edge.
    pub at: f64,
    /// How much it matters; above 0.
    pub weight: f64,
    /// How far the upper edge of the next must be from its own, at least.
    pub apart: f64,
}

/// Where the upper edges come to lie, in the same order.
pub fn settle(column: &[Wish]) -> Vec<f64> {
    // Less the room that those above need anyway, places only have to ascend.
    struct Pool {
        mean: f64,
        weight: f64,
        members: usize,
    }
    let mut pools: Vec<Pool> = Vec::with_capacity(column.len());
    let mut above = 0.0;
    for wish in column {
        let mut pool = Pool {
            mean: wish.at - above,
            weight: wish.weight,
            members: 1,
        };
        while let Some(before) = pools.pop_if(|before| before.mean > pool.mean) {
            let weight = before.weight + pool.weight;
            pool = Pool {
                mean: (before.mean * before.weight + pool.mean * pool.weight) / weight,
                weight,
                members: before.members + pool.members,
            };
        }
        pools.push(pool);
        above += wish.apart;
    }
    let means = pools
        .iter()
        .flat_map(|pool| std::iter::repeat_n(pool.mean, pool.members));
    let mut above = 0.0;
    means
        .zip(column)
        .map(|(mean, wish)| {
            let at = mean + above;
            above += wish.apart;
            at
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(wishes: &[(f64, f64)]) -> Vec<f64> {
        let column = wishes.iter().map(|(at, weight)| Wish {
            at: *at,
            weight: *weight,
            apart: 10.0,
        });
        settle(&column.collect::<Vec<_>>())
    }

    #[test]
    fn who_has_room_stays_where_it_likes_to_be() {
        assert_eq!(settled(&[(0.0, 1.0), (50.0, 1.0)]), [0.0, 50.0]);
        assert!(settled(&[]).is_empty());
    }

    #[test]
    fn who_would_overlap_part_by_their_weights() {
        assert_eq!(settled(&[(20.0, 1.0), (20.0, 1.0)]), [15.0, 25.0]);
        assert_eq!(settled(&[(20.0, 4.0), (20.0, 1.0)]), [18.0, 28.0]);
    }

    #[test]
    fn nobody_passes_another() {
        let at = settled(&[(100.0, 1.0), (0.0, 1.0), (50.0, 1.0)]);
        assert!(at.windows(2).all(|two| two[1] - two[0] > 9.999), "{at:?}");
    }
}
