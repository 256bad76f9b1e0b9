// Strict reading of TOML, shared by the policy and deferd.toml.
//
// A TomlTable hands out values by key and notes every mistake with its place: a wrong type, a value
// out of range, and, at Finish, every key that nobody asked for (with the nearest known key, since
// most are typing errors). Reading goes on after a mistake with the default in place, so that one
// run reports all. toml++ stays inside the .cc. Single-threaded.

#ifndef DEFERD_POLICY_TOML_READER_H_
#define DEFERD_POLICY_TOML_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/duration.h"  // IWYU pragma: export

namespace deferd {

class TomlTable;

// Where a value stands; for messages made by the caller.
struct TomlPlace {
  int line = 0;
  int column = 0;
};

// A string together with its place.
struct TomlText {
  std::string text;
  TomlPlace place;
};

class TomlReader {
 public:
  // InvalidArgument "name:LINE:COL: ..." if the text is not TOML, or is nested absurdly deep.
  static absl::StatusOr<std::unique_ptr<TomlReader>> Parse(absl::string_view text,
                                                           absl::string_view name);
  virtual ~TomlReader() = default;

  virtual TomlTable* root() = 0;

  // Notes a mistake: "name:LINE:COL: message". Messages say the remedy after a semicolon.
  virtual void Error(TomlPlace place, absl::string_view message) = 0;

  // Notes the keys that nobody asked for, then Ok, or InvalidArgument with all mistakes in the
  // order of the file, one a line.
  virtual absl::Status Finish() = 0;
};

// Owned by the reader. Each getter marks its key as known; an absent key gives nullopt (or an empty
// list) and is no mistake; a wrong type is one, and gives nullopt too.
class TomlTable {
 public:
  virtual ~TomlTable() = default;

  virtual TomlPlace place() const = 0;                         // of the table's header
  virtual TomlPlace PlaceOf(absl::string_view key) const = 0;  // of the key's value, else place()
  virtual bool Has(absl::string_view key) const = 0;

  virtual std::optional<TomlText> String(absl::string_view key) = 0;
  virtual std::optional<bool> Bool(absl::string_view key) = 0;
  // Must lie in [min, max].
  virtual std::optional<int64_t> Integer(absl::string_view key, int64_t min, int64_t max) = 0;
  // With or without a fraction.
  virtual std::optional<double> Number(absl::string_view key) = 0;
  // A string such as "90s", "30m", "1h", "7d", "1h30m"; must be positive.
  virtual std::optional<absl::Duration> Duration(absl::string_view key) = 0;
  // One string, or an array of strings.
  virtual std::vector<TomlText> Strings(absl::string_view key) = 0;
  // nullptr if absent.
  virtual TomlTable* Table(absl::string_view key) = 0;
  // The named tables below `key` ([key.NAME] ...), in the order of the file.
  virtual std::vector<std::pair<std::string, TomlTable*>> Tables(absl::string_view key) = 0;
  // The same of the tables directly in this one, but for those that `others` name: they are keys
  // with a meaning of their own.
  virtual std::vector<std::pair<std::string, TomlTable*>> NamedTables(
      const std::vector<absl::string_view>& others) = 0;
  // True if the value of `key` is a table.
  virtual bool IsTable(absl::string_view key) const = 0;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_TOML_READER_H_
