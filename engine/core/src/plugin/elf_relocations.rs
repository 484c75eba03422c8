//! Checks that the relocations of an ELF library write into the library, and point into it.

use object::{
    NativeEndian as NE,
    elf::{self, Rela64},
};

use super::elf_tables::{Check, Dynamic, Image};

/// What a relocation of this machine does.
enum Kind {
    Nothing,
    /// Writes the address of a symbol.
    Symbol,
    /// Writes an address in the library.
    Relative,
    /// Calls a function in the library, and writes its answer.
    Function,
    /// Writes a thread-local variable's place, in so many bytes.
    ThreadLocal(u64),
    Unknown,
}

fn kind(number: u32) -> Kind {
    let number = elf::RelocationType(number);
    if cfg!(target_arch = "x86_64") {
        match number {
            elf::R_X86_64_NONE => Kind::Nothing,
            elf::R_X86_64_64 | elf::R_X86_64_GLOB_DAT | elf::R_X86_64_JUMP_SLOT => Kind::Symbol,
            elf::R_X86_64_RELATIVE => Kind::Relative,
            elf::R_X86_64_IRELATIVE => Kind::Function,
            elf::R_X86_64_DTPMOD64 | elf::R_X86_64_DTPOFF64 | elf::R_X86_64_TPOFF64 => {
                Kind::ThreadLocal(8)
            }
            elf::R_X86_64_TLSDESC => Kind::ThreadLocal(16),
            _ => Kind::Unknown,
        }
    } else if cfg!(target_arch = "aarch64") {
        match number {
            elf::R_AARCH64_NONE => Kind::Nothing,
            elf::R_AARCH64_ABS64 | elf::R_AARCH64_GLOB_DAT | elf::R_AARCH64_JUMP_SLOT => {
                Kind::Symbol
            }
            elf::R_AARCH64_RELATIVE => Kind::Relative,
            elf::R_AARCH64_IRELATIVE => Kind::Function,
            elf::R_AARCH64_TLS_DTPMOD | elf::R_AARCH64_TLS_DTPREL | elf::R_AARCH64_TLS_TPREL => {
                Kind::ThreadLocal(8)
            }
            elf::R_AARCH64_TLSDESC => Kind::ThreadLocal(16),
            _ => Kind::Unknown,
        }
    } else {
        // Elsewhere only places and symbols are checked.
        Kind::Symbol
    }
}

/// Checks every relocation; `symbol_count` is what the section headers say.
pub(super) fn check(image: &Image, dynamic: &Dynamic, symbol_count: u64) -> Check {
    let relative_count = dynamic.get(elf::DT_RELACOUNT).unwrap_or(0);
    let mut relatives = 0;
    for (at, size) in [
        (elf::DT_RELA, elf::DT_RELASZ),
        (elf::DT_JMPREL, elf::DT_PLTRELSZ),
    ] {
        let Some(bytes) = dynamic.table(image, at, size, "table of relocations")? else {
            continue;
        };
        let entries: &[Rela64<NE>] =
            object::slice_from_bytes(bytes, bytes.len() / size_of::<Rela64<NE>>())
                .map_err(|()| "its table of relocations is not aligned")?
                .0;
        if size_of_val(entries) != bytes.len() {
            return Err("its table of relocations is cut".into());
        }
        for (n, entry) in entries.iter().enumerate() {
            let kind = relocation(image, entry, symbol_count)
                .ok_or_else(|| format!("its relocation {n} leads outside the library"))?;
            if at == elf::DT_RELA && n as u64 == relatives && matches!(kind, Kind::Relative) {
                relatives += 1;
            }
        }
    }
    if dynamic
        .get(elf::DT_PLTREL)
        .is_some_and(|tag| tag as i64 != elf::DT_RELA.0)
    {
        return Err("its relocations are of a kind that this machine does not have".into());
    }
    // The loader does not look at the types of that many.
    if relative_count > relatives {
        return Err("it counts more relative relocations than it has".into());
    }
    if let Some(bytes) =
        dynamic.table(image, elf::DT_RELR, elf::DT_RELRSZ, "table of relocations")?
    {
        packed(image, bytes).ok_or("its packed relocations lead outside the library")?;
    }
    Ok(())
}

fn relocation(image: &Image, entry: &Rela64<NE>, symbol_count: u64) -> Option<Kind> {
    let (info, addend) = (entry.r_info.get(NE), entry.r_addend.get(NE));
    let kind = kind(info as u32);
    let writes = match kind {
        Kind::Nothing => return Some(kind),
        Kind::ThreadLocal(bytes) => bytes,
        _ => 8,
    };
    let has_place = image.has(entry.r_offset.get(NE), writes, elf::PF_W);
    let is_sound = match kind {
        Kind::Relative => image.load(addend as u64, 0).is_some(),
        Kind::Function => image.has(addend as u64, 1, elf::PF_X),
        Kind::ThreadLocal(_) => image.has_tls() || info >> 32 != 0,
        Kind::Symbol | Kind::Nothing => true,
        Kind::Unknown => false,
    };
    (has_place && is_sound && info >> 32 < symbol_count).then_some(kind)
}

/// Checks the places of relative relocations in the packed form (gABI, `DT_RELR`).
fn packed(image: &Image, bytes: &[u8]) -> Option<()> {
    let mut next = None;
    for word in bytes.chunks(8) {
        let word = u64::from_ne_bytes(word.try_into().ok()?);
        if word & 1 == 0 {
            if !image.has(word, 8, elf::PF_W) {
                return None;
            }
            next = Some(word + 8);
        } else {
            let begin: u64 = next?;
            for bit in (1..64).filter(|bit| word >> bit & 1 == 1) {
                if !image.has(begin + (bit - 1) * 8, 8, elf::PF_W) {
                    return None;
                }
            }
            next = Some(begin + 63 * 8);
        }
    }
    Some(())
}
