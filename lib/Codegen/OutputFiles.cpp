// Writes the compiler's outputs without leaving half a file behind.
#include "lib/Codegen/OutputFiles.h"
#include "llvm/ADT/Twine.h"
#include "llvm/Support/Path.h"

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

bool OutputFiles::isStream(StringRef path) {
  sys::fs::file_status status;
  return path == "-" ||
         (!sys::fs::status(path, status) && sys::fs::exists(status) &&
          !sys::fs::is_regular_file(status) && !sys::fs::is_directory(status));
}

Error OutputFiles::check(StringRef path) {
  std::error_code code;
  StringRef folder = sys::path::parent_path(path);
  if (path == "-")
    return Error::success();
  if (path.empty())
    code = std::make_error_code(std::errc::no_such_file_or_directory);
  else if (sys::fs::is_directory(path))
    code = std::make_error_code(std::errc::is_a_directory);
  else if (sys::fs::exists(path) || sys::path::is_separator(path.back()))
    code = sys::fs::access(path, sys::fs::AccessMode::Write);
  if (!code && !folder.empty() && sys::fs::exists(folder) &&
      !sys::fs::is_directory(folder))
    code = std::make_error_code(std::errc::not_a_directory);
  if (!code && !isStream(path))
    code = sys::fs::access(folder.empty() ? "." : folder,
                           sys::fs::AccessMode::Write);
  if (code)
    return cannotWrite(path, errorCodeToError(code));
  return Error::success();
}

Error OutputFiles::write(StringRef path,
                         function_ref<Error(raw_fd_ostream &)> writer) {
  if (isStream(path)) {
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
  if (isStream(path))
    return createStringError("expected a regular file, found '" + path + "'");
  Expected<sys::fs::TempFile> file =
      sys::fs::TempFile::create(path + ".%%%%%%%%.tmp");
  if (!file)
    return cannotWrite(path, file.takeError());
  std::string name = file->TmpName;
  pending.push_back({std::move(*file), path.str()});
  return name;
}

Error OutputFiles::commit() {
  // What is likeliest to fail comes before the first renaming.
  for (const Pending &entry : pending)
    if (Error error = check(entry.path))
      return error;
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
