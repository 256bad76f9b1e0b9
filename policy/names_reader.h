// Reads the keys that say whom a table of the policy is for: domains, logins, tags, except.
//
// An entry that begins with '/' is a file with one entry a line ('#' starts a comment; of
// "example.com: owner" the first word counts). Mistakes go to the reader, those of a file with its
// line. Single-threaded.

#ifndef DEFERD_POLICY_NAMES_READER_H_
#define DEFERD_POLICY_NAMES_READER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/names.h"
#include "policy/toml_reader.h"

namespace deferd {

// A whole file's text; errors name the path.
using ReadListFile = std::function<absl::StatusOr<std::string>(const std::string& path)>;

class NamesReader {
 public:
  // `read_file` empty: lists in files are mistakes.
  NamesReader(TomlReader* reader, ReadListFile read_file)
      : reader_(reader), read_file_(std::move(read_file)) {}

  // Tags must be read before the tables that name them.
  void ReadTag(const std::string& name, TomlTable* table);
  Selection Read(TomlTable* table);
  // The key `domains` alone.
  DomainSet ReadDomains(TomlTable* table);

  std::vector<std::shared_ptr<const Tag>> TakeTags() { return std::move(tags_); }
  std::vector<std::string> TakeFiles() { return std::move(files_); }
  // Of all files read, in order; empty without any.
  const std::string& file_text() const { return file_text_; }

 private:
  struct Entry {
    std::string text;
    TomlPlace place;
    std::string where;  // "FILE:LINE: " of a file's
  };
  std::vector<Entry> Entries(TomlTable* table, absl::string_view key);
  void ReadFile(const TomlText& path, std::vector<Entry>* entries);
  void Mistake(const Entry& entry, absl::string_view what);
  // An entry that stands twice: a mistake, but in files, which programs write.
  void Twice(const Entry& entry);
  void ReadDomainKey(TomlTable* table, DomainSet* domains);
  void ReadLogins(TomlTable* table, NameList* list);
  void ReadExcept(TomlTable* table, NameList* list);
  void ReadTags(TomlTable* table, Selection* names);

  TomlReader* const reader_;
  const ReadListFile read_file_;
  std::vector<std::shared_ptr<const Tag>> tags_;
  absl::flat_hash_map<std::string, size_t> tag_numbers_;
  std::vector<std::string> files_;
  std::string file_text_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_NAMES_READER_H_
