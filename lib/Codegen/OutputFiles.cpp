// Writes the compiler's outputs without leaving half a file behind.
#include "lib/Codegen/OutputFiles.h"
#include "llvm/ADT/Twine.h"

using namespace llvm;
using namespace dlc;

static Error cannotWrite(const Twine &path, Error error) {
  return createStringError("cannot write '" + path.str() +
                           "': " + toString(std::move(error)));
}

OutputFiles::~OutputFiles() {
  for (Pending &entry : pending)
    consumeError(entry.file.discard());
}

static Error finish(raw_fd_ostream &os, StringRef path) {
  os.flush();
  std::error_code code = os.error();
  os.clear_error();
  if (code)
    return cannotWrite(path, errorCodeToError(code));
  return Error::success();
}

Error OutputFiles::write(StringRef path,
                         function_ref<Error(raw_fd_ostream &)> writer) {
  sys::fs::file_status status;
  bool special = path == "-" ||
                 (!sys::fs::status(path, status) && sys::fs::exists(status) &&
                  !sys::fs::is_regular_file(status));
  if (special) {
    std::error_code code;
    raw_fd_ostream os(path, code);
    if (code)
      return cannotWrite(path, errorCodeToError(code));
    if (Error error = writer(os))
      return error;
    return finish(os, path);
  }
  Expected<std::string> name = reserve(path);
  if (!name)
    return name.takeError();
  raw_fd_ostream os(pending.back().file.FD, /*shouldClose=*/false);
  if (Error error = writer(os)) {
    os.clear_error();
    return error;
  }
  return finish(os, path);
}

Expected<std::string> OutputFiles::reserve(StringRef path) {
  Expected<sys::fs::TempFile> file =
      sys::fs::TempFile::create(path + ".%%%%%%%%.tmp");
  if (!file)
    return cannotWrite(path, file.takeError());
  std::string name = file->TmpName;
  pending.push_back({std::move(*file), path.str()});
  return name;
}

Error OutputFiles::commit() {
  for (size_t i = 0; i < pending.size(); ++i) {
    if (Error error = pending[i].file.keep(pending[i].path)) {
      // Take back what already stands there: all or none.
      for (size_t done = 0; done < i; ++done)
        sys::fs::remove(pending[done].path);
      pending.erase(pending.begin(), pending.begin() + i);
      std::string path = pending.front().path;
      return cannotWrite(path, std::move(error));
    }
  }
  pending.clear();
  return Error::success();
}
