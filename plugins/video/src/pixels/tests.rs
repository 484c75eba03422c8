//! Every conversion beside the exact formula, in numbers of 64 bits.

use super::{
    matrix::{black, steps},
    *,
};

const SIZES: [(u32, u32); 7] = [(1, 1), (2, 2), (7, 5), (64, 4), (65, 3), (130, 2), (191, 7)];

fn random(seed: &mut u64) -> u8 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 56) as u8
}

/// Pixels of any values, the ends of the range among them.
fn pixels(layout: Layout, (width, height): (u32, u32), seed: u64) -> Vec<u8> {
    let mut seed = seed.wrapping_mul(2) + 1;
    let bytes = layout.bytes(width, height).expect("a size that there is");
    let mut each = || match random(&mut seed) {
        0..24 => 0,
        24..48 => 255,
        _ => random(&mut seed),
    };
    (0..bytes).map(|_| each()).collect()
}

/// Y, U and V of each pixel, as numbers.
struct Exact {
    size: (usize, usize),
    yuv: Vec<[f64; 3]>,
}

fn formula(colour: Colour) -> ((f64, f64), bool) {
    let matrix = colour.matrix.and_then(weights);
    (
        matrix.unwrap_or((0.299, 0.114)),
        colour.full_range.unwrap_or(false),
    )
}

impl Exact {
    /// What a picture in Y, U and V is, with colours of the halves in full.
    fn of_yuv(layout: Layout, bytes: &[u8], size: (u32, u32)) -> Exact {
        let [y, u, v] = layout.planes(bytes, size.0, size.1).expect("it fits");
        let (w, h) = (size.0 as usize, size.1 as usize);
        let half = w.div_ceil(2);
        let at = |x: usize, line: usize| {
            let (u, v) = match layout {
                Layout::I420 => (u[line / 2 * half + x / 2], v[line / 2 * half + x / 2]),
                Layout::Nv12 => {
                    let pair = 2 * (line / 2 * half + x / 2);
                    (u[pair], u[pair + 1])
                }
                Layout::I422 => (u[line * half + x / 2], v[line * half + x / 2]),
                _ => (u[line * w + x], v[line * w + x]),
            };
            [y[line * w + x], u, v].map(f64::from)
        };
        Exact {
            size: (w, h),
            yuv: (0..w * h).map(|n| at(n % w, n / w)).collect(),
        }
    }

    /// The mean of the colours of two by two pixels, the last ones again at the edge, for each of the two.
    fn halved(mut self) -> Exact {
        let (w, h) = self.size;
        let whole = self.yuv.clone();
        for line in 0..h {
            for x in 0..w {
                for part in [1, 2] {
                    let (x0, y0) = (x / 2 * 2, line / 2 * 2);
                    let of = |x: usize, y: usize| whole[y.min(h - 1) * w + x.min(w - 1)][part];
                    let sum = of(x0, y0) + of(x0 + 1, y0) + of(x0, y0 + 1) + of(x0 + 1, y0 + 1);
                    self.yuv[line * w + x][part] = sum / 4.0;
                }
            }
        }
        self
    }

    fn of_rgb(rgb: &[[f64; 3]], size: (usize, usize), colour: Colour) -> Exact {
        let ((kr, kb), full) = formula(colour);
        let (light, colours) = steps(full);
        let one = |[r, g, b]: [f64; 3]| {
            let y = kr * r + (1.0 - kr - kb) * g + kb * b;
            [
                black(full) + y * light / 255.0,
                128.0 + (b - y) / (2.0 * (1.0 - kb)) * colours / 255.0,
                128.0 + (r - y) / (2.0 * (1.0 - kr)) * colours / 255.0,
            ]
        };
        Exact {
            size,
            yuv: rgb.iter().map(|rgb| one(*rgb)).collect(),
        }
    }

    fn rgb(&self, colour: Colour) -> Vec<[f64; 3]> {
        let ((kr, kb), full) = formula(colour);
        let (light, colours) = steps(full);
        let one = |[y, u, v]: [f64; 3]| {
            let y = (y - black(full)) * 255.0 / light;
            let (u, v) = ((u - 128.0) * 255.0 / colours, (v - 128.0) * 255.0 / colours);
            let (r, b) = (y + 2.0 * (1.0 - kr) * v, y + 2.0 * (1.0 - kb) * u);
            [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
        };
        self.yuv.iter().map(|yuv| one(*yuv)).collect()
    }
}

fn assert_near(exact: f64, found: f64, what: &dyn std::fmt::Display) {
    let off = (exact.clamp(0.0, 255.0) - found).abs();
    assert!(off <= 1.0, "{what}: {found}, and exact is {exact:.2}");
}

fn colours() -> Vec<Colour> {
    let matrices = [None, Some(1), Some(4), Some(5), Some(7), Some(9), Some(8)];
    let of = |matrix| {
        [None, Some(true), Some(false)].map(|full_range| Colour {
            full_range,
            matrix,
            ..Colour::default()
        })
    };
    matrices.into_iter().flat_map(of).collect()
}

fn rgb_of<const N: usize>(bytes: &[u8]) -> Vec<[f64; 3]> {
    let each = bytes.as_chunks::<N>().0.iter();
    each.map(|pixel| [pixel[0], pixel[1], pixel[2]].map(f64::from))
        .collect()
}

#[test]
fn from_and_to_red_green_and_blue_every_sample_is_within_a_step_of_the_exact_one() -> Result {
    for (n, colour) in (0..).zip(colours()) {
        for size in SIZES {
            for from in Layout::ALL {
                let bytes = pixels(from, size, n);
                let exact = match from {
                    Layout::Rgba => None,
                    Layout::Rgb24 => None,
                    _ => Some(Exact::of_yuv(from, &bytes, size)),
                };
                for to in [Layout::I420, Layout::Nv12, Layout::Rgba, Layout::Rgb24] {
                    let mut made = vec![1; to.bytes(size.0, size.1)?];
                    Converter::new(from, to, size, colour)?.convert(&bytes, &mut made)?;
                    let what = format!("{from:?} to {to:?} of {size:?}, {colour}");
                    match (&exact, is_rgb(to)) {
                        (Some(exact), true) => {
                            // What is halved in between is rounded there.
                            let is_direct = matches!(from, Layout::I420 | Layout::Nv12);
                            if is_direct {
                                let rgb = if to == Layout::Rgba {
                                    rgb_of::<4>(&made)
                                } else {
                                    rgb_of::<3>(&made)
                                };
                                for (exact, found) in exact.rgb(colour).iter().zip(rgb) {
                                    for (exact, found) in exact.iter().zip(found) {
                                        assert_near(*exact, found, &what);
                                    }
                                }
                            }
                        }
                        (None, true) => {
                            let of = |layout, bytes| {
                                if layout == Layout::Rgba {
                                    rgb_of::<4>(bytes)
                                } else {
                                    rgb_of::<3>(bytes)
                                }
                            };
                            assert_eq!(of(from, &bytes), of(to, &made), "{what}");
                        }
                        (yuv, false) => {
                            let found = Exact::of_yuv(to, &made, size);
                            let exact = match yuv {
                                Some(_) => Exact::of_yuv(from, &bytes, size).halved(),
                                None => {
                                    let rgb = if from == Layout::Rgba {
                                        rgb_of::<4>(&bytes)
                                    } else {
                                        rgb_of::<3>(&bytes)
                                    };
                                    Exact::of_rgb(&rgb, found.size, colour).halved()
                                }
                            };
                            for (exact, found) in exact.yuv.iter().zip(&found.yuv) {
                                for (exact, found) in exact.iter().zip(found) {
                                    assert_near(*exact, *found, &what);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_gray_goes_to_red_green_and_blue_and_back_unchanged() -> Result {
    for colour in colours() {
        for gray in 0..=255_u8 {
            let size = (2, 2);
            let rgb = vec![gray; Layout::Rgb24.bytes(2, 2)?];
            let mut yuv = vec![0; Layout::I420.bytes(2, 2)?];
            Converter::new(Layout::Rgb24, Layout::I420, size, colour)?.convert(&rgb, &mut yuv)?;
            assert!(
                yuv[4..].iter().all(|c| *c == 128),
                "{colour} {gray}: {yuv:?}"
            );
            let mut back = vec![0; rgb.len()];
            Converter::new(Layout::I420, Layout::Rgb24, size, colour)?.convert(&yuv, &mut back)?;
            let off = back[0].abs_diff(gray);
            assert!(
                off <= 1 && back.iter().all(|s| *s == back[0]),
                "{colour} {gray}: {back:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn layouts_of_one_kind_come_back_as_they_were() -> Result {
    for size in SIZES {
        for (a, b) in [(Layout::I420, Layout::Nv12), (Layout::Rgb24, Layout::Rgba)] {
            let first = pixels(a, size, 3);
            let mut other = vec![0; b.bytes(size.0, size.1)?];
            let mut back = vec![0; first.len()];
            Converter::new(a, b, size, Colour::default())?.convert(&first, &mut other)?;
            Converter::new(b, a, size, Colour::default())?.convert(&other, &mut back)?;
            assert_eq!(first, back, "{a:?} {size:?}");
        }
        let first = pixels(Layout::I444, size, 5);
        let mut same = vec![0; first.len()];
        Converter::new(Layout::I444, Layout::I444, size, Colour::default())?
            .convert(&first, &mut same)?;
        assert_eq!(first, same);
    }
    assert!(Converter::new(Layout::I420, Layout::Rgba, (0, 3), Colour::default()).is_err());
    let mut converter = Converter::new(Layout::I420, Layout::Rgba, (4, 4), Colour::default())?;
    assert!(converter.convert(&[0; 23], &mut [0; 64]).is_err());
    assert!(converter.convert(&[0; 24], &mut [0; 63]).is_err());
    Ok(())
}

/// Widths with and without whole steps of vectors, and what is left of them.
const WIDTHS: [usize; 6] = [1, 31, 32, 33, 64, 190];

fn to_rgb_alike<const N: usize>(matrix: &ToRgb, seed: &mut u64) {
    for width in WIDTHS {
        let [y, u, v] = [width, width.div_ceil(2), width.div_ceil(2)]
            .map(|len| (0..len).map(|_| random(seed)).collect::<Vec<u8>>());
        let [mut any, mut plain] = [vec![1; N * width], vec![2; N * width]];
        rgb::row_to_rgb::<N>(matrix, &y, &u, &v, &mut any);
        rgb::plain_row_to_rgb::<N>(matrix, &y, &u, &v, &mut plain);
        assert_eq!(any, plain, "{N} bytes, {width} pixels, {matrix:?}");
    }
}

fn to_yuv_alike<const N: usize>(matrix: &ToYuv, seed: &mut u64) {
    for (width, has_bottom) in WIDTHS.into_iter().flat_map(|w| [(w, true), (w, false)]) {
        let half = width.div_ceil(2);
        let top: Vec<u8> = (0..N * width).map(|_| random(seed)).collect();
        let bottom: Vec<u8> = (0..N * width).map(|_| random(seed)).collect();
        let rows: [&[u8]; 2] = [&top, if has_bottom { &bottom } else { &top }];
        let made = [true, false].map(|is_any| {
            let lights = [width, if has_bottom { width } else { 0 }];
            let [mut a, mut b] = lights.map(|len| vec![u8::from(is_any); len]);
            let [mut u, mut v] = [vec![3; half], vec![4; half]];
            let y = [&mut a[..], &mut b[..]];
            if is_any {
                rgb::rows_to_yuv::<N>(matrix, rows, y, &mut u, &mut v);
            } else {
                rgb::plain_rows_to_yuv::<N>(matrix, rows, y, &mut u, &mut v);
            }
            [a, b, u, v]
        });
        assert_eq!(
            made[0], made[1],
            "{N} bytes, {width} pixels, {has_bottom}, {matrix:?}"
        );
    }
}

#[test]
fn vector_instructions_make_the_same_as_plain_loops() {
    #[cfg(target_arch = "x86_64")]
    if !is_x86_feature_detected!("avx2") {
        println!("SKIPPED: this processor has no AVX2, so that both are the plain loops");
        return;
    }
    let mut seed = 1;
    for matrix in [1, 4, 6, 7, 9].into_iter().filter_map(weights) {
        for full_range in [false, true] {
            let (to_rgb, to_yuv) = (
                ToRgb::new(matrix, full_range),
                ToYuv::new(matrix, full_range),
            );
            to_rgb_alike::<3>(&to_rgb, &mut seed);
            to_rgb_alike::<4>(&to_rgb, &mut seed);
            to_yuv_alike::<3>(&to_yuv, &mut seed);
            to_yuv_alike::<4>(&to_yuv, &mut seed);
        }
    }
}
