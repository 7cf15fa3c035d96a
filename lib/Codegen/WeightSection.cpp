// Turns the empty section of the weights into one with bytes.
#include "lib/Codegen/WeightSection.h"
#include "llvm/Object/ELF.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;
using namespace dlc;

/// Changes the section's header to one that owns the bytes from the end of the
/// file on. Returns the offset of these, or 0 when there is no such section.
template <typename ELFT>
static Expected<uint64_t> placeSection(SmallVectorImpl<char> &object,
                                       StringRef empty, WeightSection to,
                                       uint64_t size) {
  StringRef bytes(object.data(), object.size());
  Expected<object::ELFFile<ELFT>> file = object::ELFFile<ELFT>::create(bytes);
  if (!file)
    return file.takeError();
  auto sections = file->sections();
  if (!sections)
    return sections.takeError();
  for (const typename ELFT::Shdr &section : *sections) {
    Expected<StringRef> found = file->getSectionName(section);
    if (!found)
      return found.takeError();
    if (*found != empty)
      continue;
    if (section.sh_type != ELF::SHT_NOBITS || section.sh_size != size ||
        to.name.size() != empty.size())
      return createStringError("internal: section " + empty +
                               " is not as expected");
    uint64_t offset = alignTo(object.size(), WeightTable::maxAlignment);
    if (!ELFT::Is64Bits && offset + size > UINT32_MAX)
      return createStringError(
          "an ELF file of 32 bits cannot hold the weights");
    auto &header = const_cast<typename ELFT::Shdr &>(section);
    header.sh_type = ELF::SHT_PROGBITS;
    header.sh_offset = offset;
    if (!to.writable)
      header.sh_flags = header.sh_flags & ~typename ELFT::uint(ELF::SHF_WRITE);
    llvm::copy(to.name, const_cast<char *>(found->data()));
    return offset;
  }
  return 0;
}

Error dlc::writeObject(SmallVectorImpl<char> &object, StringRef empty,
                       WeightSection section, const WeightTable &weights,
                       raw_fd_ostream &os) {
  uint64_t start = 0;
  if (!weights.empty()) {
    bool is64 = object.size() > ELF::EI_CLASS &&
                object[ELF::EI_CLASS] == ELF::ELFCLASS64;
    Expected<uint64_t> offset =
        is64 ? placeSection<object::ELF64LE>(object, empty, section,
                                             weights.size())
             : placeSection<object::ELF32LE>(object, empty, section,
                                             weights.size());
    if (!offset)
      return offset.takeError();
    start = *offset;
  }
  os.write(object.data(), object.size());
  if (!start)
    return Error::success();

  // What is not written stays a hole, which reads as zeros. A stream that
  // cannot seek gets the zeros.
  bool seeks = os.supportsSeeking();
  auto skipTo = [&](uint64_t position) {
    if (seeks)
      os.seek(position);
    else
      while (os.tell() < position)
        os.write_zeros(std::min<uint64_t>(position - os.tell(), 1 << 20));
  };
  for (const WeightTable::Entry &entry : weights.entries()) {
    skipTo(start + entry.offset);
    os.write(entry.bytes.data(), entry.bytes.size());
  }
  uint64_t end = start + weights.size();
  if (seeks && os.tell() < end) {
    os.seek(end - 1);
    os.write('\0');
  } else {
    skipTo(end);
  }
  return Error::success();
}
