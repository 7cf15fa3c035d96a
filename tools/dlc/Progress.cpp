// The status line of a long compilation.

#include "tools/dlc/Progress.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Process.h"

using namespace dlc;
using namespace dlc::tool;
using namespace mlir;

Progress::Progress(bool isWanted) {
  SetUnbuffered();
  if (!isWanted || !is_displayed())
    return;
  isDone = false;
  thread = std::thread([this] { follow(); });
}

Progress::~Progress() { finish(); }

void Progress::setText(std::string newText) {
  std::lock_guard lock(mutex);
  text = std::move(newText);
}

void Progress::finish() {
  {
    std::lock_guard lock(mutex);
    isDone = true;
    clear();
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
}

/// Shows the text once it is worth it, and again whenever it has changed.
void Progress::follow() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, 1s, [this] { return isDone; });
  std::string shown;
  while (!isDone) {
    // Never in the middle of a diagnostic.
    if (atLineStart && !(isShown && shown == text)) {
      unsigned columns = llvm::sys::Process::StandardErrColumns();
      llvm::StringRef line(text);
      if (columns > 1)
        line = line.take_front(columns - 1);
      llvm::errs() << ("\r\033[K" + line).str();
      shown = text;
      isShown = true;
    }
    changed.wait_for(lock, 200ms, [this] { return isDone; });
  }
}

void Progress::clear() {
  if (isShown)
    llvm::errs() << "\r\033[K";
  isShown = false;
}

void Progress::write_impl(const char *data, size_t size) {
  std::lock_guard lock(mutex);
  clear();
  llvm::errs().write(data, size);
  position += size;
  if (size)
    atLineStart = data[size - 1] == '\n';
}

struct PassProgress::Instrumentation : PassInstrumentation {
  explicit Instrumentation(PassProgress &owner) : owner(owner) {}

  void runBeforePass(Pass *pass, Operation *) override {
    // Adaptors have no name; a pass on functions runs many times.
    if (pass->getArgument().empty() || !owner.seen.insert(pass).second)
      return;
    unsigned number = ++owner.done;
    owner.progress.setText(llvm::formatv(
        "{0}: {1} (pass {2} of {3})", owner.phase, pass->getArgument(), number,
        std::max(number, owner.total)));
  }

  PassProgress &owner;
};

void PassProgress::setPhase(std::string text) {
  phase = std::move(text);
  progress.setText(phase);
}

void PassProgress::attach(PassManager &pm) {
  seen.clear();
  pm.addInstrumentation(std::make_unique<Instrumentation>(*this));
}
