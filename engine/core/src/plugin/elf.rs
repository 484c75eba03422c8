//! Reads an ELF shared library.
//!
//! Checked is what the system's loader relies on without looking: that program headers, loaded
//! segments, sections and the dynamic symbol table lie within the file and within each other.

use std::path::Path;

use abi_stable::library::ROOT_MODULE_LOADER_NAME;
use levada_abi::{C_ENTRY, NOTE_SECTION};
use object::{
    NativeEndian as NE,
    elf::{self, FileHeader64, ProgramHeader64},
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym},
};

use super::{
    error::LoadError,
    inspect::{Shape, damaged, in_file},
};

type Header = FileHeader64<NE>;
type Segment = ProgramHeader64<NE>;

/// Addresses and sizes beyond this are no user-space addresses.
const MAX_ADDRESS: u64 = 1 << 47;

/// This machine's name and its ELF number.
const HOST: (&str, u16) = if cfg!(target_arch = "x86_64") {
    ("x86-64", elf::EM_X86_64.0)
} else if cfg!(target_arch = "aarch64") {
    ("AArch64", elf::EM_AARCH64.0)
} else if cfg!(target_arch = "riscv64") {
    ("64-bit RISC-V", elf::EM_RISCV.0)
} else if cfg!(target_arch = "loongarch64") {
    ("LoongArch", elf::EM_LOONGARCH.0)
} else if cfg!(target_arch = "s390x") {
    ("s390x", elf::EM_S390.0)
} else if cfg!(target_arch = "powerpc64") {
    ("64-bit PowerPC", elf::EM_PPC64.0)
} else {
    panic!("name this machine's ELF number here")
};

fn machine_name(number: u16, is_64: bool) -> String {
    let name = match (elf::Machine(number), is_64) {
        (elf::EM_X86_64, true) => "x86-64",
        (elf::EM_X86_64, false) => "x86-64 with 32-bit pointers",
        (elf::EM_386, _) => "32-bit x86",
        (elf::EM_AARCH64, _) => "AArch64",
        (elf::EM_ARM, _) => "32-bit ARM",
        (elf::EM_RISCV, true) => "64-bit RISC-V",
        (elf::EM_RISCV, false) => "32-bit RISC-V",
        (elf::EM_PPC64, _) => "64-bit PowerPC",
        (elf::EM_S390, _) => "s390x",
        (elf::EM_MIPS, _) => "MIPS",
        (elf::EM_LOONGARCH, _) => "LoongArch",
        _ => return format!("a machine with ELF number {number}"),
    };
    name.to_owned()
}

/// Reads the structure of `bytes`, which begin with ELF's magic number.
pub(super) fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<Shape<'a>, LoadError> {
    in_file(
        path,
        "headers",
        (0, size_of::<Header>() as u64),
        bytes.len(),
    )?;
    check_machine(path, bytes)?;
    let broken = |what: &'static str| {
        move |error: object::read::Error| damaged(path, format!("{what} ({error})"))
    };
    let header = Header::parse(bytes).map_err(broken("its header is not valid"))?;
    if header.e_type(NE) != elf::ET_DYN {
        return Err(not_a_library(path, header.e_type(NE)));
    }
    let segments = segments(path, header, bytes)?;
    let dynamic = dynamic_range(path, segments)?;

    let table = u64::from(header.e_shnum(NE)) * u64::from(header.e_shentsize(NE));
    in_file(
        path,
        "section headers",
        (header.e_shoff(NE), table),
        bytes.len(),
    )?;
    let sections = header
        .sections(NE, bytes)
        .map_err(broken("its section headers are not valid"))?;
    for section in sections.iter() {
        if let Some(range) = section.file_range(NE) {
            in_file(path, "sections", range, bytes.len())?;
        }
    }
    let mut shape = Shape::default();
    read_symbols(path, bytes, &sections, &mut shape)?;
    read_dynamic(path, bytes, dynamic, &sections, &mut shape)?;
    shape.note = sections
        .section_by_name(NE, NOTE_SECTION.as_bytes())
        .and_then(|(_, section)| section.data(NE, bytes).ok());
    Ok(shape)
}

fn check_machine(path: &Path, bytes: &[u8]) -> Result<(), LoadError> {
    let is_64 = match bytes[4] {
        1 => false,
        2 => true,
        other => return Err(damaged(path, format!("its word size is marked {other}"))),
    };
    let is_little = match bytes[5] {
        1 => true,
        2 => false,
        other => return Err(damaged(path, format!("its byte order is marked {other}"))),
    };
    let raw = [bytes[18], bytes[19]];
    let number = if is_little {
        u16::from_le_bytes(raw)
    } else {
        u16::from_be_bytes(raw)
    };
    if (is_64, is_little, number) == (true, cfg!(target_endian = "little"), HOST.1) {
        return Ok(());
    }
    let mut found = machine_name(number, is_64);
    if number == HOST.1 && is_little != cfg!(target_endian = "little") {
        found.push_str(" of the other byte order");
    } else if number == HOST.1 && found == HOST.0 {
        found.push_str(" with other pointers");
    }
    Err(LoadError::OtherMachine {
        path: path.to_owned(),
        found,
        host: HOST.0,
    })
}

fn not_a_library(path: &Path, kind: elf::FileType) -> LoadError {
    let (found, remedy) = match kind {
        elf::ET_REL => (
            "an object file",
            "link it into a shared library, or set crate-type = [\"cdylib\"]",
        ),
        elf::ET_EXEC => ("a program", "set crate-type = [\"cdylib\"]"),
        elf::ET_CORE => ("a crashed program's memory", "name the plugin's library"),
        _ => ("an ELF file of unknown kind", "copy or build it again"),
    };
    LoadError::NotALibrary {
        path: path.to_owned(),
        found,
        remedy,
    }
}

/// Checks the program headers and what they load.
fn segments<'a>(path: &Path, header: &Header, bytes: &'a [u8]) -> Result<&'a [Segment], LoadError> {
    let (count, each) = (header.e_phnum(NE), header.e_phentsize(NE));
    let table = u64::from(count) * u64::from(each);
    in_file(
        path,
        "program headers",
        (header.e_phoff(NE), table),
        bytes.len(),
    )?;
    let segments = header
        .program_headers(NE, bytes)
        .map_err(|e| damaged(path, format!("its program headers are not valid ({e})")))?;
    let mut end = 0;
    let mut loads = 0;
    for (n, s) in segments.iter().enumerate() {
        let wrong = |what: &str| damaged(path, format!("its program header {n} {what}"));
        // A stack or zeroed segment has no bytes in the file, wherever its offset points.
        if s.p_filesz(NE) > 0 {
            let range = (s.p_offset(NE), s.p_filesz(NE));
            in_file(path, "segments", range, bytes.len())?;
        }
        let (at, size, align) = (s.p_vaddr(NE), s.p_memsz(NE), s.p_align(NE));
        if at > MAX_ADDRESS || size > MAX_ADDRESS {
            return Err(wrong("has an impossible address or size"));
        }
        if s.p_type(NE) == elf::PT_LOAD {
            loads += 1;
            if s.p_filesz(NE) > size {
                return Err(wrong("has more bytes in the file than in memory"));
            }
            if align > 1 && (!align.is_power_of_two() || (at ^ s.p_offset(NE)) & (align - 1) != 0) {
                return Err(wrong("is not aligned"));
            }
            if at < end {
                return Err(wrong("overlaps the one before"));
            }
            end = at + size;
        }
    }
    if loads == 0 {
        return Err(damaged(path, "it has no segment to load"));
    }
    Ok(segments)
}

/// The dynamic section as the loader finds it: offset and size in the file.
fn dynamic_range(path: &Path, segments: &[Segment]) -> Result<(u64, u64), LoadError> {
    let mut of_kind = segments.iter().filter(|s| s.p_type(NE) == elf::PT_DYNAMIC);
    let (Some(dynamic), None) = (of_kind.next(), of_kind.next()) else {
        return Err(damaged(
            path,
            "it does not have exactly one dynamic segment",
        ));
    };
    let (at, size) = (dynamic.p_vaddr(NE), dynamic.p_filesz(NE));
    // Memory and file must show the loader the same bytes.
    let inside = segments.iter().any(|s| {
        s.p_type(NE) == elf::PT_LOAD
            && at >= s.p_vaddr(NE)
            && at + size <= s.p_vaddr(NE) + s.p_filesz(NE)
            && at - s.p_vaddr(NE) == dynamic.p_offset(NE).wrapping_sub(s.p_offset(NE))
    });
    if !inside {
        return Err(damaged(path, "its dynamic segment is not loaded"));
    }
    Ok((dynamic.p_offset(NE), size))
}

fn read_symbols(
    path: &Path,
    bytes: &[u8],
    sections: &SectionTable<Header>,
    shape: &mut Shape,
) -> Result<(), LoadError> {
    let broken =
        |e: object::read::Error| damaged(path, format!("its dynamic symbols are not valid ({e})"));
    let symbols = sections
        .symbols(NE, bytes, elf::SHT_DYNSYM)
        .map_err(broken)?;
    let strings = symbols.strings();
    for symbol in symbols.iter() {
        let name = symbol.name(NE, strings).map_err(broken)?;
        if symbol.is_definition(NE, strings) {
            shape.has_c_entry |= name == C_ENTRY.as_bytes();
            shape.has_root_module |= name == ROOT_MODULE_LOADER_NAME.as_bytes();
        }
    }
    Ok(())
}

fn read_dynamic(
    path: &Path,
    bytes: &[u8],
    (offset, size): (u64, u64),
    sections: &SectionTable<Header>,
    shape: &mut Shape,
) -> Result<(), LoadError> {
    let broken =
        |e: object::read::Error| damaged(path, format!("its dynamic section is not valid ({e})"));
    let count = size as usize / size_of::<elf::Dyn64<NE>>();
    let entries: &[elf::Dyn64<NE>] = bytes
        .get(offset as usize..)
        .and_then(|rest| object::slice_from_bytes(rest, count).ok())
        .map(|(entries, _)| entries)
        .ok_or_else(|| damaged(path, "its dynamic section is not aligned"))?;
    let strings = sections
        .symbols(NE, bytes, elf::SHT_DYNSYM)
        .map_err(broken)?
        .strings();
    for entry in entries {
        match entry.d_tag(NE) {
            elf::DT_NULL => return Ok(()),
            elf::DT_FLAGS_1 if entry.d_val(NE) & elf::DF_1_PIE.0 != 0 => {
                return Err(not_a_library(path, elf::ET_EXEC));
            }
            elf::DT_RPATH | elf::DT_RUNPATH => {
                let value = entry.string(NE, strings).map_err(broken)?;
                shape.needs_its_place |= [&b"$ORIGIN"[..], b"${ORIGIN}"]
                    .iter()
                    .any(|word| value.windows(word.len()).any(|w| w == *word));
            }
            _ => {}
        }
    }
    Err(damaged(path, "its dynamic section has no end"))
}
