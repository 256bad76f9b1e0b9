// All keys of deferd in Redis, and the names in them, in one place.
//
//   deferd1:w:{DOMAIN}:SECONDS             hash: a domain's rows of windows of that length, by node
//   deferd1:w:{DOMAIN}:SECONDS:KIND:TEXT   the same of a part of the domain (login, script ...)
//   deferd1:w:{KIND:ID}:SECONDS            the same of a subject of no domain
//   deferd1:c:{...}:SECONDS:CLASS...       as deferd1:w: the bad ones with answers of one class,
//   and deferd1:r:{...}:SECONDS...             the recipients of the bad ones, where rules ask for
//   them deferd1:e:{DOMAIN}:CASEID              hash: the receipt of a case, a part by node
//   deferd1:{cases}                        hash: the newest case of each subject
//   deferd1:{cases}:log                    stream: the cases as they were put
//   deferd1:{nodes}                        hash: who is there, by node
//   deferd1:{nodes}:gen                    string: random, made when none is there
//   deferd1:{nodes-NUMBER}:gen             the same of one master of a Redis Cluster
//
// `deferd1` is the version of all formats. What stands in braces decides the slot of a Redis
// cluster: one for all of a domain, one for all cases; and, of several servers, which has the rows
// (sharded_store.h). Every key has a time to live.
//
// A subject's name, a field of {cases}: DOMAIN, DOMAIN/KIND/TEXT, or KIND:ID; shadow cases have
// "shadow:" before it.
//
// The value of a case: rev f64, manual u8 (little endian, so that a script can read them), text.

#ifndef DEFERD_LIMITER_STORE_REDIS_KEYS_H_
#define DEFERD_LIMITER_STORE_REDIS_KEYS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/store/shared_store.h"
#include "policy/subject.h"

namespace deferd {

inline constexpr char kCasesKey[] = "deferd1:{cases}";
inline constexpr char kCaseLogKey[] = "deferd1:{cases}:log";
inline constexpr char kNodesKey[] = "deferd1:{nodes}";
inline constexpr char kGenerationKey[] = "deferd1:{nodes}:gen";
std::string GenerationKeyOf(int number);

// A row outlives its last cell by this.
inline constexpr absl::Duration kRowGrace = absl::Hours(1);
inline constexpr absl::Duration kCasesLife = absl::Hours(24 * 30);
inline constexpr size_t kMostCaseBytes = 256 << 10;

// What stands in the braces of a subject's keys.
std::string SlotOf(const Subject& subject);

std::string RowKeyText(const RowKey& key);
// Of the counts of all outcomes alone. InvalidArgument if it is no such key, or not the one that
// RowKeyText gives.
absl::StatusOr<RowKey> ParseRowKey(absl::string_view text);
// A pattern of SCAN for all rows of windows of one length, and perhaps some others.
std::string RowKeyPattern(absl::Duration window);

std::string ReceiptKeyText(const Subject& subject, absl::string_view case_id);

std::string CaseField(const Subject& subject, bool shadow);
std::string CaseValue(const SharedCase& record);
// DataLoss if it is none, or can be nobody's: of a rev from kMostRev on, or over kMostCaseBytes.
absl::StatusOr<SharedCase> ParseCaseEntry(absl::string_view field, absl::string_view value);
// What stands for one that ParseCaseEntry did not take.
SharedCase DamagedCase(absl::string_view field);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_REDIS_KEYS_H_
