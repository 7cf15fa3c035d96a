/// \file
/// The line that says how far a long compilation is.
#ifndef DLC_TOOLS_DLC_PROGRESS_H
#define DLC_TOOLS_DLC_PROGRESS_H

#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/Support/raw_ostream.h"
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace dlc::tool {

/// On a terminal, a status line appears on the standard error after a second
/// and follows setText(). The object is also the stream for all else that goes
/// to the standard error: what is written there first takes the line away.
/// Where the standard error is no terminal nothing is shown.
class Progress : public llvm::raw_ostream {
public:
  explicit Progress(bool isWanted);
  ~Progress() override;

  void setText(std::string text);
  /// Takes the line away for good.
  void finish();

  bool is_displayed() const override { return llvm::errs().is_displayed(); }
  bool has_colors() const override { return llvm::errs().has_colors(); }

private:
  void write_impl(const char *data, size_t size) override;
  uint64_t current_pos() const override { return position; }
  void follow();
  void clear();

  std::mutex mutex;
  std::condition_variable changed;
  std::string text;
  bool isShown = false, isDone = true, atLineStart = true;
  uint64_t position = 0;
  std::thread thread;
};

/// Tells a Progress which pass of a pipeline of `total` passes runs.
class PassProgress {
public:
  PassProgress(Progress &progress, unsigned total)
      : progress(progress), total(total) {}

  /// The beginning of the line: the model and the phase.
  void setPhase(std::string text);
  void attach(mlir::PassManager &pm);

private:
  struct Instrumentation;

  Progress &progress;
  unsigned total, done = 0;
  std::string phase;
  llvm::DenseSet<const mlir::Pass *> seen;
};

} // namespace dlc::tool

#endif
