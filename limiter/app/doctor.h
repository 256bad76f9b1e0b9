// `deferctl doctor`: what stands between this server and counts that can be trusted, each finding
// with its remedy.
//
// Diagnose is pure: it looks at what was gathered, so every finding is a test. Gather asks the
// daemon and looks at the machine; what it cannot learn it leaves out.

#ifndef DEFERD_LIMITER_APP_DOCTOR_H_
#define DEFERD_LIMITER_APP_DOCTOR_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/admin/json.h"

namespace deferd {

// What is known. Json(nullptr): not known.
struct DoctorFacts {
  absl::Time now;
  std::string unreachable;           // why the daemon does not answer; empty: it does
  Json status;                       // of the daemon
  Json blocks;                       // likewise
  Json attempts;                     // the newest that were tracked
  std::string hook_problem;          // what a question on the MTA's own door met; empty: an answer
  std::vector<std::string> mtas;     // that are installed: "Exim", "Postfix"
  std::string postfix_restrictions;  // as Postfix has them in force; empty: not known
  bool panel_limiter = false;        // a hosting panel's own limiter keeps its records here
};

DoctorFacts Gather(const std::string& socket, absl::Time now);

// [{level: "ok" | "note" | "warning" | "problem", what, remedy}], in a fixed order.
Json Diagnose(const DoctorFacts& facts);

std::string DoctorPage(const Json& findings);  // at 80 columns

// 1 if there is a problem, else 0.
int DoctorExit(const Json& findings);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_DOCTOR_H_
