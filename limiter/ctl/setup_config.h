// What `deferctl setup` writes into deferd.toml: logs, doors, local and hosted domains, the users'
// map of a hosting panel.
//
// A key that an operator has set stays, except a log that is not there. Pure but for looking at
// which files of panels exist below `root` ("" but in tests).

#ifndef DEFERD_LIMITER_CTL_SETUP_CONFIG_H_
#define DEFERD_LIMITER_CTL_SETUP_CONFIG_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/setup_machine.h"

namespace deferd {

struct WantedKey {
  std::string table;  // "intake"
  std::string key;
  std::string value;             // as TOML
  std::string in_place_of = {};  // a key whose line is replaced; empty: none is
};

// `text` with these keys, in blocks whose names begin with `mta`.
std::string WithKeys(absl::string_view text, absl::string_view mta,
                     const std::vector<WantedKey>& keys);

// ["a", "b"]
std::string TomlList(const std::vector<std::string>& items);

// A hosting panel's accounts: what [charge] should name, and the map's text where the panel has
// none that deferd reads.
struct PanelFound {
  std::string name;  // empty: no panel
  std::string users;
  std::string hosted;
  std::string map_path;  // a file that setup writes; empty: none
  std::string map_text;
  std::string note;
};
PanelFound FindPanel(const std::string& root = "");

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_CONFIG_H_
