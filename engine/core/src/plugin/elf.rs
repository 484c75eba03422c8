//! Reads an ELF shared library.
//!
//! Checked is what the system's loader relies on without looking: that program headers, segments and
//! sections lie within the file and within each other; and, by `elf_tables`, what the dynamic
//! section leads to.

use std::path::Path;

use abi_stable::library::ROOT_MODULE_LOADER_NAME;
use levada_abi::{C_ENTRY, NOTE_SECTION};
use object::{
    NativeEndian as NE,
    elf::{self, FileHeader64, ProgramHeader64},
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use super::{
    elf_tables::{self, Dynamic, Image},
    error::LoadError,
    inspect::{Shape, damaged, in_file},
};

type Header = FileHeader64<NE>;
type Segment = ProgramHeader64<NE>;

/// Addresses and sizes beyond this are no user-space addresses.
const MAX_ADDRESS: u64 = 1 << 47;

/// Thread-local variables of one library take at most this, in bytes. A library that asks for more
/// than there is ends the process when a thread first touches one.
const MAX_TLS: u64 = 16 << 20;
const MAX_TLS_ALIGN: u64 = 4096;

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
    let image = Image::new(bytes, segments);
    check_places(path, &image, header, segments)?;

    let table = u64::from(header.e_shnum(NE)) * u64::from(header.e_shentsize(NE));
    let table = (header.e_shoff(NE), table);
    in_file(path, "section headers", table, bytes.len())?;
    let sections = header
        .sections(NE, bytes)
        .map_err(broken("its section headers are not valid"))?;
    let mut symbol_count = 0;
    for section in sections.iter() {
        if let Some(range) = section.file_range(NE) {
            in_file(path, "sections", range, bytes.len())?;
        }
        if section.sh_type(NE) == elf::SHT_DYNSYM {
            symbol_count = section.sh_size(NE) / size_of::<elf::Sym64<NE>>() as u64;
        }
    }
    let dynamic = dynamic(path, &image, segments)?;
    let symbols =
        elf_tables::check(&image, &dynamic, symbol_count).map_err(|what| damaged(path, what))?;
    let has = |name: &str| symbols.defined().any(|defined| defined == name.as_bytes());
    let is_relative = |list: &[u8]| {
        let mut words = [&b"$ORIGIN"[..], b"${ORIGIN}"].into_iter();
        words.any(|word| list.windows(word.len()).any(|w| w == word))
    };
    Ok(Shape {
        has_c_entry: has(C_ENTRY),
        has_root_module: has(ROOT_MODULE_LOADER_NAME),
        needs_its_place: [elf::DT_RPATH, elf::DT_RUNPATH]
            .into_iter()
            .filter_map(|tag| dynamic.text(tag))
            .any(is_relative),
        note: sections
            .section_by_name(NE, NOTE_SECTION.as_bytes())
            .and_then(|(_, section)| section.data(NE, bytes).ok()),
    })
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

/// Checks the segments that describe parts of the loaded ones.
fn check_places(
    path: &Path,
    image: &Image,
    header: &Header,
    segments: &[Segment],
) -> Result<(), LoadError> {
    for (n, s) in segments.iter().enumerate() {
        let wrong = |what: &str| Err(damaged(path, format!("its program header {n} {what}")));
        let (at, size) = (s.p_vaddr(NE), s.p_filesz(NE));
        match s.p_type(NE) {
            elf::PT_GNU_STACK if s.p_flags(NE).0 & elf::PF_X.0 != 0 => {
                return wrong("asks for an executable stack (link with -z noexecstack)");
            }
            elf::PT_TLS if s.p_memsz(NE) > MAX_TLS || s.p_align(NE) > MAX_TLS_ALIGN => {
                return wrong("has thread-local variables of an impossible size");
            }
            elf::PT_TLS if size > s.p_memsz(NE) => {
                return wrong("has more bytes in the file than in memory");
            }
            elf::PT_PHDR if s.p_offset(NE) != header.e_phoff(NE) => {
                return wrong("does not point to the program headers");
            }
            // Write-protected when the relocations are done: what is loaded matters, not the file,
            // and some linkers round the end up to a page.
            elf::PT_GNU_RELRO if !image.has_pages(at, s.p_memsz(NE)) => {
                return wrong("reaches beyond the loaded segments");
            }
            elf::PT_PHDR
            | elf::PT_TLS
            | elf::PT_DYNAMIC
            | elf::PT_NOTE
            | elf::PT_GNU_PROPERTY
            | elf::PT_GNU_EH_FRAME => {}
            _ => continue,
        }
        // Memory and file must show the loader the same bytes.
        let offset = usize::try_from(s.p_offset(NE)).unwrap_or(usize::MAX);
        let is_there = match image.file(at, size) {
            Some(bytes) => image.offset_of(bytes) == offset,
            None => false,
        };
        if size > 0 && !is_there {
            return wrong("is not part of a loaded segment");
        }
    }
    Ok(())
}

/// The dynamic section as the loader finds it.
fn dynamic<'a>(
    path: &Path,
    image: &Image<'a>,
    segments: &[Segment],
) -> Result<Dynamic<'a>, LoadError> {
    let mut of_kind = segments.iter().filter(|s| s.p_type(NE) == elf::PT_DYNAMIC);
    let (Some(segment), None) = (of_kind.next(), of_kind.next()) else {
        return Err(damaged(
            path,
            "it does not have exactly one dynamic segment",
        ));
    };
    let entries = image
        .file(segment.p_vaddr(NE), segment.p_filesz(NE))
        .and_then(|b| object::slice_from_bytes(b, b.len() / size_of::<elf::Dyn64<NE>>()).ok())
        .map(|(entries, _)| entries)
        .ok_or_else(|| damaged(path, "its dynamic section is not aligned"))?;
    let dynamic = Dynamic::read(image, entries).map_err(|what| damaged(path, what))?;
    let flags = dynamic.get(elf::DT_FLAGS_1).unwrap_or(0);
    if flags & elf::DF_1_PIE.0 != 0 {
        return Err(not_a_library(path, elf::ET_EXEC));
    }
    Ok(dynamic)
}
