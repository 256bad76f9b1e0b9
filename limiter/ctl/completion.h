// `deferctl completion SHELL`: the shell's completion script, made from the table of verbs itself,
// so that a new verb or option completes without anybody writing it down.
//
// Words that only the running daemon knows (subjects, queued messages' ids) are asked for while
// someone types: the scripts call `deferctl complete KIND`, which prints one a line, and nothing if
// the daemon does not answer.

#ifndef DEFERD_LIMITER_CTL_COMPLETION_H_
#define DEFERD_LIMITER_CTL_COMPLETION_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

// What a word of the command line may be, besides a verb or an option.
enum class WordKind { kNone, kSubject, kId, kSubjectOrId, kFile };

struct CompletionPlace {
  std::string path;  // the verbs so far: "", "queue", "queue release"
  struct Word {
    std::string text;  // "status", "--json"
    std::string help;
  };
  std::vector<Word> words;
  WordKind positional = WordKind::kNone;
};

// All places of the command line, the first is the empty one. Hidden verbs are left out.
std::vector<CompletionPlace> CompletionPlaces(const CLI::App& app);

// `shell`: bash, zsh or fish; another is InvalidArgument.
absl::StatusOr<std::string> CompletionScript(const CLI::App& app, absl::string_view shell);

// What `deferctl complete subjects|ids` prints.
std::string CompletionWords(const std::string& socket, absl::string_view kind);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_COMPLETION_H_
