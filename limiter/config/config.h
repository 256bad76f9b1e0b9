// deferd.toml: where things are. What is allowed stands in the policy file.
//
// Read strictly, with the policy's own reader: all mistakes at once, each with its place and
// remedy. The keys, their defaults and their meaning are those of deploy/deferd.toml.

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
  std::string policy_path;  // empty: the built-in policy

  std::vector<std::string> exim_logs;  // paths or patterns
  std::vector<std::string> postfix_logs;
  // What is read from systemd's journal.
  struct JournalIntake {
    bool exim = false;
    bool postfix = false;
    std::string directory;           // of another journal than this machine's
    std::vector<std::string> users;  // see JournalWriters

    friend bool operator==(const JournalIntake&, const JournalIntake&) = default;
  } journal;
  absl::TimeZone zone = absl::LocalTimeZone();
  std::string zone_name;  // as written; empty: the machine's

  ChargeLists charge;
  std::vector<std::string> charge_files;  // the maps and lists that [charge] names

  // Addresses (limiter/port/listener.h), one for each MTA instance that needs its own; empty: not
  // asked.
  std::vector<std::string> hook_exim;
  std::vector<std::string> hook_postfix;
  ListenOptions hook_options;
  std::string admin_socket = "/run/deferd/admin.sock";  // a path
  ListenOptions admin_options{.mode = 0660, .group = ""};
  std::vector<std::string> http_listen;  // empty: no HTTP
  // How many subjects /metrics names besides the blocked ones; 0: none at all.
  int64_t subject_series = 0;

  // Sockets of deferd-queue, one for each MTA instance; empty: the queue is let alone.
  std::vector<std::string> queue_helpers;

  std::optional<RedisAddress> redis;  // none: one machine
  std::string node_name;              // empty: the state directory has a random one

  LedgerOptions ledger;
  bool ledger_subjects = false;  // keep the messages' Subject: lines

  std::vector<std::string> warnings;  // what is accepted but does nothing yet
};

// InvalidArgument holds all mistakes, one a line; NotFound if the file is missing.
absl::StatusOr<Config> LoadConfig(const std::string& path);
// The same text with its maps and lists as they are now.
absl::StatusOr<Config> ReadListsAgain(const Config& config);

// The user ids whose entries are the mail server's ("exim", "postfix"): root's, and those of
// `users` or, if it is empty, of the users that Debian and others run it as, where they exist.
std::vector<uid_t> JournalWriters(const std::vector<std::string>& users, absl::string_view mta);

// What differs between the two that a reload does not take: "[hook]", "state_dir" ...
std::vector<std::string> NeedRestart(const Config& running, const Config& loaded);

// The policy that `config` names (or the built-in one), as text and as value.
struct LoadedPolicy {
  std::shared_ptr<const Policy> policy;
  std::string toml;
  std::string error;  // what is wrong with the file, where this is an earlier one's policy
};
// With the corrections of its [replies] file. One that is missing has none yet.
absl::StatusOr<LoadedPolicy> LoadPolicy(const std::string& path);
// The same text with the lists that it names as they are now.
absl::StatusOr<LoadedPolicy> ReadListsAgain(const LoadedPolicy& loaded);
// The policy to start with: where the file has a mistake, the one that was in force last (`kept`, a
// path). Without that too: what is wrong with the file.
absl::StatusOr<LoadedPolicy> LoadPolicyOrKept(const std::string& path, const std::string& kept);

// A whole file. NotFound, PermissionDenied, or InvalidArgument (a folder, over 16 MiB), each naming
// the path.
absl::StatusOr<std::string> ReadTextFile(const std::string& path);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_CONFIG_H_
