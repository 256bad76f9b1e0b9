// deferd.toml: paths, sockets and lists. The limits are in the policy file.
//
// The file is read strictly, with the policy's reader: all errors are reported at once, each with
// its place and remedy. deploy/deferd.toml describes the keys and their defaults.

#ifndef DEFERD_LIMITER_CONFIG_CONFIG_H_
#define DEFERD_LIMITER_CONFIG_CONFIG_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/config/notice_config.h"
#include "limiter/port/listener.h"
#include "limiter/store/local_store.h"
#include "limiter/store/redis_address.h"
#include "policy/charge.h"
#include "policy/policy.h"

namespace deferd {

struct Config {
  std::string path;
  std::string text;  // of the file
  std::string state_dir = "/var/lib/deferd";
  std::string policy_path;  // empty: built-in policy
  // A reload refuses a policy that alters more of the subjects than that; nullopt: no guard.
  std::optional<double> reload_guard;  // percent

  std::vector<std::string> exim_logs;  // paths or glob patterns
  std::vector<std::string> postfix_logs;
  // Input from systemd's journal.
  struct JournalIntake {
    bool exim = false;
    bool postfix = false;
    std::string directory;           // of another journal; empty: this machine's
    std::vector<std::string> users;  // see JournalWriters

    friend bool operator==(const JournalIntake&, const JournalIntake&) = default;
  } journal;
  absl::TimeZone zone = absl::LocalTimeZone();
  std::string zone_name;  // as written; empty: this machine's

  ChargeLists charge;
  std::vector<std::string> charge_files;  // maps and lists named in [charge]

  // Addresses (limiter/port/listener.h), one for each MTA instance that needs its own; empty:
  // disabled.
  std::vector<std::string> hook_exim;
  std::vector<std::string> hook_postfix;
  ListenOptions hook_options;
  std::string admin_socket = "/run/deferd/admin.sock";  // a path
  ListenOptions admin_options{.mode = 0660, .group = ""};
  std::string readers_socket;  // a path; answers the verbs that change nothing; empty: none
  ListenOptions readers_options{.mode = 0660, .group = ""};
  std::vector<std::string> http_listen;  // empty: no HTTP
  // How many subjects /metrics names besides the blocked ones; 0: none at all.
  int64_t subject_series = 0;

  std::string api_listen;  // an address (limiter/port/listener.h); empty: no API
  ListenOptions api_options{.mode = 0660, .group = ""};
  bool api_console = false;  // the web console beside it
  // Where owners reach their page: "https://mail.example.net"; empty: there is none.
  std::string owner_page;
  std::string owner_key;  // the file of the links' key; empty: one in state_dir

  // Sockets of deferd-queue, one for each MTA instance; empty: deferd does not touch the queue.
  std::vector<std::string> queue_helpers;

  std::vector<RedisAddress> redis;  // empty: one machine; several: shards, in this order
  std::string node_name;            // empty: random name from the state directory

  LedgerOptions ledger;
  bool ledger_subjects = false;  // keep the messages' Subject: lines

  std::vector<NoticeSink> notices;  // [notice.NAME]; empty: nobody is notified

  std::vector<std::string> warnings;  // settings that have no effect yet
};

// InvalidArgument lists all errors, one per line; NotFound if the file is missing.
absl::StatusOr<Config> LoadConfig(const std::string& path);
// The same configuration with the present content of its maps and lists.
absl::StatusOr<Config> ReadListsAgain(const Config& config);

// User ids whose journal entries are trusted for `mta` ("exim", "postfix"): root, and `users` or,
// if empty, the users under which Debian and others run it, as far as they exist.
std::vector<uid_t> JournalWriters(const std::vector<std::string>& users, absl::string_view mta);

// Changed tables and keys that a reload does not apply: "[hook]", "state_dir" ...
std::vector<std::string> NeedRestart(const Config& running, const Config& loaded);

// "5%" or "5". InvalidArgument begins with `what`.
absl::StatusOr<double> ParsePercent(absl::string_view what, absl::string_view text);

// The policy that `config` names (or the built-in one), as text and as value.
struct LoadedPolicy {
  std::shared_ptr<const Policy> policy;
  std::string toml;
  std::string error;  // the error in the file, if this is an earlier policy
};
// With the corrections of its [replies] file; a missing file means no corrections.
absl::StatusOr<LoadedPolicy> LoadPolicy(const std::string& path);
// The same policy with the present content of the lists that it names.
absl::StatusOr<LoadedPolicy> ReadListsAgain(const LoadedPolicy& loaded);
// The policy for a start. If the file is invalid, the last valid policy (`kept`, a path) is used;
// if that is missing too, returns the error in the file.
absl::StatusOr<LoadedPolicy> LoadPolicyOrKept(const std::string& path, const std::string& kept);

// Reads a whole file. NotFound, PermissionDenied, or InvalidArgument (a directory, or larger than
// 16 MiB); each names the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_H_
