/**
 * Lets a shared object that was built against a newer C library load beside an older one: what it wants of the newer is the
 * C23 names of functions that every C library has, and one name of libstdc++ that is never called.
 * ELF64, little-endian: x64 and arm64. The object is changed in place.
 */
import { readFileSync, writeFileSync } from 'node:fs'

const SECTION_SYMBOLS = 11
const SECTION_VERSIONS_NEEDED = 0x6ffffffe
const SECTION_SYMBOL_VERSIONS = 0x6fffffff
const VERSION_IS_WEAK = 2
const BINDING_WEAK = 2
/** Of a symbol without a version: any definition will do. */
const VERSION_GLOBAL = 1

/** Names that newer headers give to old functions, and where the old name begins in them. */
const RENAMED = /^__isoc23_(?=strto|scanf|sscanf|fscanf)/
/** Wanted so that streams are set up, and called by nobody. */
const NEVER_CALLED = '_ZSt21ios_base_library_initv'

interface Section {
  readonly type: number
  readonly at: number
  readonly size: number
  /** The section that it refers to: its strings. */
  readonly link: number
}

function sectionsOf(elf: Buffer): Section[] {
  const at = Number(elf.readBigUInt64LE(0x28))
  const size = elf.readUInt16LE(0x3a)
  return Array.from({ length: elf.readUInt16LE(0x3c) }, (_, index) => {
    const head = at + index * size
    return {
      type: elf.readUInt32LE(head + 4),
      at: Number(elf.readBigUInt64LE(head + 24)),
      size: Number(elf.readBigUInt64LE(head + 32)),
      link: elf.readUInt32LE(head + 40),
    }
  })
}

const textAt = (elf: Buffer, at: number): string => elf.toString('latin1', at, elf.indexOf(0, at))

/** Makes every wanted version one that may be missing. */
function weakenVersions(elf: Buffer, needed: Section): void {
  for (let at = needed.at; ; at += elf.readUInt32LE(at + 12)) {
    let entry = at + elf.readUInt32LE(at + 8)
    for (let left = elf.readUInt16LE(at + 2); left > 0; left--) {
      elf.writeUInt16LE(elf.readUInt16LE(entry + 4) | VERSION_IS_WEAK, entry + 4)
      entry += elf.readUInt32LE(entry + 12)
    }
    if (elf.readUInt32LE(at + 12) === 0) return
  }
}

/** Changes the object at `file`. Gives the names that it then wants under their old name, or not at all. */
export function fitToOlderLibc(file: string): string[] {
  const elf = readFileSync(file)
  const sections = sectionsOf(elf)
  const find = (type: number): Section => {
    const section = sections.find((one) => one.type === type)
    if (section === undefined) throw new Error(`no section of type ${type.toString(16)}`)
    return section
  }
  const symbols = find(SECTION_SYMBOLS)
  const versions = find(SECTION_SYMBOL_VERSIONS)
  const names = sections[symbols.link]!
  const changed: string[] = []
  for (let index = 0; index * 24 < symbols.size; index++) {
    const at = symbols.at + index * 24
    const name = textAt(elf, names.at + elf.readUInt32LE(at))
    const prefix = RENAMED.exec(name)?.[0].length ?? 0
    if (prefix === 0 && name !== NEVER_CALLED) continue
    changed.push(name)
    elf.writeUInt32LE(elf.readUInt32LE(at) + prefix, at)
    elf.writeUInt16LE(VERSION_GLOBAL, versions.at + index * 2)
    if (prefix === 0) elf[at + 4] = (elf[at + 4]! & 0xf) | (BINDING_WEAK << 4)
  }
  weakenVersions(elf, find(SECTION_VERSIONS_NEEDED))
  writeFileSync(file, elf)
  return changed
}
