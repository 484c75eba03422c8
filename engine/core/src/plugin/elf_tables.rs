//! Checks the tables of an ELF library that the system's loader follows without looking.
//!
//! The loader trusts indices, offsets and addresses in the dynamic section, in the symbol, version
//! and hash tables and in the relocations. One wrong index makes it read or write beyond the
//! library, and what lies there differs from process to process: a trial in a child may end well
//! and the host crash all the same. So everything that leads out of the library is refused here,
//! and what the trial has to find out happens inside the library, the same way in both processes.
//!
//! Layouts: System V ABI (gABI 4.3, chapter 5), the LSB's symbol versions, and the GNU hash table.

use std::collections::{BTreeMap, BTreeSet};

use object::{
    NativeEndian as NE,
    elf::{self, Dyn64, ProgramHeader64, Rela64, Sym64},
    read::elf::{Dyn, ProgramHeader, Sym},
};

use super::elf_relocations;

/// No table has a chain longer than this.
const MAX_CHAIN: usize = 1 << 16;

/// What is wrong, as the second half of "the file is damaged: ...".
pub(super) type Check<T = ()> = Result<T, String>;

/// The library as it will lie in memory.
pub(super) struct Image<'a> {
    bytes: &'a [u8],
    segments: &'a [ProgramHeader64<NE>],
}

impl<'a> Image<'a> {
    /// `segments` have been checked to lie in `bytes`.
    pub fn new(bytes: &'a [u8], segments: &'a [ProgramHeader64<NE>]) -> Image<'a> {
        Image { bytes, segments }
    }

    /// The loaded segment that holds these addresses.
    pub fn load(&self, at: u64, len: u64) -> Option<&'a ProgramHeader64<NE>> {
        let end = at.checked_add(len)?;
        self.segments.iter().find(|s| {
            s.p_type(NE) == elf::PT_LOAD
                && at >= s.p_vaddr(NE)
                && end <= s.p_vaddr(NE) + s.p_memsz(NE)
        })
    }

    /// Bytes at an address, when they come from the file.
    pub fn file(&self, at: u64, len: u64) -> Option<&'a [u8]> {
        let load = self.load(at, len)?;
        let offset = at - load.p_vaddr(NE);
        if offset + len > load.p_filesz(NE) {
            return None;
        }
        let begin = usize::try_from(load.p_offset(NE) + offset).ok()?;
        self.bytes.get(begin..begin.checked_add(len as usize)?)
    }

    /// Whether addresses lie in a loaded segment and the rest of its last page.
    pub fn has_pages(&self, at: u64, len: u64) -> bool {
        // Its first byte counts: where one segment ends the next one may begin.
        let Some(load) = self.load(at, 1) else {
            return false;
        };
        let end = load.p_vaddr(NE) + load.p_memsz(NE);
        at.checked_add(len)
            .is_some_and(|wanted| wanted <= end.next_multiple_of(load.p_align(NE).max(1)))
    }

    /// Where in the file a part of it begins that [`Image::file`] answered.
    pub fn offset_of(&self, part: &[u8]) -> usize {
        part.as_ptr().addr() - self.bytes.as_ptr().addr()
    }

    /// Whether addresses lie in one loaded segment with this right.
    pub fn has(&self, at: u64, len: u64, flag: elf::ProgramFlags) -> bool {
        self.load(at, len)
            .is_some_and(|s| s.p_flags(NE).0 & flag.0 != 0)
    }

    /// Whether the library has thread-local variables.
    pub fn has_tls(&self) -> bool {
        self.segments.iter().any(|s| s.p_type(NE) == elf::PT_TLS)
    }

    fn number<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        self.file(at, N as u64)?.first_chunk().copied()
    }

    fn u16(&self, at: u64) -> Option<u16> {
        self.number(at).map(u16::from_ne_bytes)
    }

    fn u32(&self, at: u64) -> Option<u32> {
        self.number(at).map(u32::from_ne_bytes)
    }
}

/// The dynamic symbols, as the loader finds them.
pub(super) struct Symbols<'a> {
    symbols: &'a [Sym64<NE>],
    strings: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Names of the symbols that the library defines.
    pub fn defined(&self) -> impl Iterator<Item = &'a [u8]> {
        self.symbols
            .iter()
            .filter(|s| s.st_shndx(NE) != elf::SHN_UNDEF)
            .filter_map(|s| string(self.strings, s.st_name(NE).into()))
    }
}

fn string(strings: &[u8], at: u64) -> Option<&[u8]> {
    let rest = strings.get(usize::try_from(at).ok()?..)?;
    Some(&rest[..rest.iter().position(|&b| b == 0)?])
}

/// The entries of the dynamic section; of a tag that is there twice, the loader takes the last.
pub(super) struct Dynamic<'a> {
    values: BTreeMap<i64, u64>,
    strings: &'a [u8],
}

impl<'a> Dynamic<'a> {
    /// Reads the entries and their string table.
    pub fn read(image: &Image<'a>, entries: &[Dyn64<NE>]) -> Check<Dynamic<'a>> {
        let end = entries
            .iter()
            .position(|e| e.d_tag(NE) == elf::DT_NULL)
            .ok_or("its dynamic section has no end")?;
        let entries = &entries[..end];
        let values: BTreeMap<i64, u64> = entries
            .iter()
            .map(|e| (e.d_tag(NE).0, e.d_val(NE)))
            .collect();
        let mut dynamic = Dynamic {
            values,
            strings: &[],
        };
        dynamic.strings = dynamic
            .table(image, elf::DT_STRTAB, elf::DT_STRSZ, "string table")?
            .ok_or("it has no dynamic string table")?;
        for entry in entries.iter().filter(|e| e.is_string(NE)) {
            if string(dynamic.strings, entry.d_val(NE)).is_none() {
                return Err("its dynamic section names a text outside the string table".into());
            }
        }
        Ok(dynamic)
    }

    /// The value of a tag.
    pub fn get(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.values.get(&tag.0).copied()
    }

    /// The text that the value of a tag names.
    pub fn text(&self, tag: elf::DynamicTag) -> Option<&'a [u8]> {
        string(self.strings, self.get(tag)?)
    }

    /// The table at the address in `at` of the size in `size`.
    pub fn table(
        &self,
        image: &Image<'a>,
        at: elf::DynamicTag,
        size: elf::DynamicTag,
        name: &str,
    ) -> Check<Option<&'a [u8]>> {
        match (self.get(at), self.get(size)) {
            (None, None | Some(0)) => Ok(None),
            (Some(at), Some(size)) => image
                .file(at, size)
                .map(Some)
                .ok_or_else(|| format!("its {name} lies outside its segments")),
            _ => Err(format!("its {name} has an address or a size but not both")),
        }
    }
}

/// Checks every table; `symbol_count` is what the section headers say.
pub(super) fn check<'a>(
    image: &Image<'a>,
    dynamic: &Dynamic<'a>,
    symbol_count: u64,
) -> Check<Symbols<'a>> {
    for (tag, size) in [
        (elf::DT_SYMENT, size_of::<Sym64<NE>>()),
        (elf::DT_RELAENT, size_of::<Rela64<NE>>()),
        (elf::DT_RELRENT, 8),
    ] {
        if dynamic.get(tag).is_some_and(|said| said != size as u64) {
            return Err("its dynamic section gives an entry an impossible size".into());
        }
    }
    let symbols = symbols(image, dynamic, symbol_count)?;
    versions(image, dynamic, symbol_count)?;
    if let Some(at) = dynamic.get(elf::DT_GNU_HASH) {
        gnu_hash(image, at, symbol_count).ok_or("its hash table leads outside its symbols")?;
    }
    if let Some(at) = dynamic.get(elf::DT_HASH) {
        hash(image, at, symbol_count).ok_or("its old hash table leads outside its symbols")?;
    }
    elf_relocations::check(image, dynamic, symbol_count)?;
    for (at, size) in [
        (elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ),
        (elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ),
    ] {
        if let Some(array) = dynamic.table(image, at, size, "list of constructors")?
            && array.len() % 8 != 0
        {
            return Err("its list of constructors is cut".into());
        }
    }
    for tag in [elf::DT_INIT, elf::DT_FINI] {
        if dynamic
            .get(tag)
            .is_some_and(|at| !image.has(at, 1, elf::PF_X))
        {
            return Err("its constructor is not code".into());
        }
    }
    Ok(symbols)
}

fn symbols<'a>(image: &Image<'a>, dynamic: &Dynamic<'a>, count: u64) -> Check<Symbols<'a>> {
    let symbols = dynamic
        .get(elf::DT_SYMTAB)
        .and_then(|at| image.file(at, count.checked_mul(24)?))
        .and_then(|bytes| object::slice_from_bytes(bytes, count as usize).ok())
        .map(|(symbols, _)| symbols)
        .ok_or("its dynamic symbols lie outside its segments")?;
    let symbols = Symbols {
        symbols,
        strings: dynamic.strings,
    };
    for s in symbols.symbols {
        if string(symbols.strings, s.st_name(NE).into()).is_none() {
            return Err("a dynamic symbol's name lies outside the string table".into());
        }
        let (at, kind) = (s.st_value(NE), s.st_type());
        let is_ours = s.st_shndx(NE) != elf::SHN_UNDEF && s.st_shndx(NE) != elf::SHN_ABS;
        let is_inside = match kind {
            elf::STT_TLS => image.has_tls(),
            elf::STT_FUNC | elf::STT_GNU_IFUNC => image.has(at, 1, elf::PF_X),
            // One past the end is where `_end` and its like point.
            _ => image.load(at, 0).is_some(),
        };
        if is_ours && !is_inside {
            return Err("a dynamic symbol points outside the library".into());
        }
    }
    Ok(symbols)
}

/// Checks that the version of every symbol is one that the library names.
fn versions(image: &Image, dynamic: &Dynamic, symbol_count: u64) -> Check {
    // 0 is a local, 1 a global symbol without version.
    let mut known = BTreeSet::from([0, 1]);
    let outside = || "its symbol versions lead outside their tables".to_owned();
    if let Some(at) = dynamic.get(elf::DT_VERNEED) {
        needed(image, dynamic, at, &mut known).ok_or_else(outside)?;
    }
    if let Some(at) = dynamic.get(elf::DT_VERDEF) {
        defined(image, dynamic, at, &mut known).ok_or_else(outside)?;
    }
    let Some(at) = dynamic.get(elf::DT_VERSYM) else {
        return Ok(());
    };
    let indices = image.file(at, symbol_count * 2).ok_or_else(outside)?;
    let is_known = |pair: &[u8]| known.contains(&(u16::from_ne_bytes([pair[0], pair[1]]) & 0x7fff));
    if !indices.chunks_exact(2).all(is_known) {
        return Err("a symbol is of a version that the library does not name".into());
    }
    Ok(())
}

fn needed(image: &Image, dynamic: &Dynamic, mut at: u64, known: &mut BTreeSet<u16>) -> Option<()> {
    for _ in 0..MAX_CHAIN {
        if image.u16(at)? != 1 {
            return None;
        }
        string(dynamic.strings, image.u32(at + 4)?.into())?;
        let mut aux = at + u64::from(image.u32(at + 8)?);
        loop {
            string(dynamic.strings, image.u32(aux + 8)?.into())?;
            // Each version has a number of its own, which bounds this chain as well.
            if !known.insert(image.u16(aux + 6)? & 0x7fff) {
                return None;
            }
            match image.u32(aux + 12)? {
                0 => break,
                next => aux += u64::from(next),
            }
        }
        match image.u32(at + 12)? {
            0 => return Some(()),
            next => at += u64::from(next),
        }
    }
    None
}

fn defined(image: &Image, dynamic: &Dynamic, mut at: u64, known: &mut BTreeSet<u16>) -> Option<()> {
    for _ in 0..MAX_CHAIN {
        if image.u16(at)? != 1 {
            return None;
        }
        known.insert(image.u16(at + 4)? & 0x7fff);
        let aux = at + u64::from(image.u32(at + 12)?);
        string(dynamic.strings, image.u32(aux)?.into())?;
        match image.u32(at + 16)? {
            0 => return Some(()),
            next => at += u64::from(next),
        }
    }
    None
}

fn gnu_hash(image: &Image, at: u64, symbol_count: u64) -> Option<()> {
    let buckets = image.u32(at)?;
    let first = u64::from(image.u32(at + 4)?);
    let filter = image.u32(at + 8)?;
    let shift = image.u32(at + 12)?;
    if buckets == 0 || !filter.is_power_of_two() || shift >= 64 {
        return None;
    }
    let filter_at = at + 16;
    image.file(filter_at, u64::from(filter) * 8)?;
    let buckets_at = filter_at + u64::from(filter) * 8;
    let words = image.file(buckets_at, u64::from(buckets) * 4)?;
    let chains_at = buckets_at + u64::from(buckets) * 4;
    let mut has_symbols = false;
    for word in words.chunks_exact(4) {
        let symbol = u64::from(u32::from_ne_bytes(word.try_into().ok()?));
        has_symbols |= symbol != 0;
        if symbol != 0 && !(first..symbol_count).contains(&symbol) {
            return None;
        }
    }
    if has_symbols {
        // The last chain must end where the symbols do; then so does every other.
        let chains = image.file(chains_at, symbol_count.checked_sub(first)? * 4)?;
        let last = chains.last_chunk::<4>()?;
        if u32::from_ne_bytes(*last) & 1 == 0 {
            return None;
        }
    }
    Some(())
}

fn hash(image: &Image, at: u64, symbol_count: u64) -> Option<()> {
    let (buckets, chains) = (image.u32(at)?, image.u32(at + 4)?);
    let words = image.file(at + 8, (u64::from(buckets) + u64::from(chains)) * 4)?;
    let is_inside = |word: &[u8]| {
        let symbol = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]);
        u64::from(symbol) < symbol_count && symbol < chains
    };
    (buckets > 0 && words.chunks_exact(4).all(is_inside)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::U64;

    fn load(at: u64, len: u64) -> ProgramHeader64<NE> {
        let len = U64::new(NE, len);
        let at = U64::new(NE, at);
        ProgramHeader64 {
            p_type: elf::PT_LOAD.into(),
            p_flags: elf::ProgramFlags(0).into(),
            p_offset: at,
            p_vaddr: at,
            p_paddr: at,
            p_filesz: len,
            p_memsz: len,
            p_align: U64::new(NE, 0x1000),
        }
    }

    #[test]
    fn pages_belong_to_the_segment_that_begins_where_another_ends() {
        let segments = [load(0, 0x3000), load(0x3000, 0x1800)];
        let image = Image::new(&[], &segments);
        assert!(image.has_pages(0x3000, 0x1800));
        assert!(image.has_pages(0x3000, 0x2000), "the rest of the last page");
        assert!(!image.has_pages(0x3000, 0x2001));
        assert!(!image.has_pages(0x4800, 1), "behind all");
    }
}
