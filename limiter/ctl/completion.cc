#include "limiter/ctl/completion.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"

namespace deferd {

namespace {

constexpr absl::Duration kPatience = absl::Seconds(2);  // somebody waits with a finger on TAB
constexpr int kSubjects = 500;

WordKind KindOf(const std::string& name, const std::string& help) {
  if (name == "SUBJECT") {
    return absl::StrContains(help, "message id") ? WordKind::kSubjectOrId : WordKind::kSubject;
  }
  if (name == "WHAT") return WordKind::kSubjectOrId;
  if (name == "ID") return WordKind::kId;
  if (name == "FILE" || name == "LOG") return WordKind::kFile;
  return WordKind::kNone;
}

void AddPlaces(const CLI::App& app, const std::string& path,
               const std::vector<CompletionPlace::Word>& inherited,
               std::vector<CompletionPlace>* places) {
  CompletionPlace place{.path = path, .words = {}, .positional = WordKind::kNone};
  const std::vector<const CLI::App*> verbs =
      app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
  for (const CLI::App* verb : verbs) {
    place.words.push_back({verb->get_name(), verb->get_description()});
  }
  std::vector<CompletionPlace::Word> options;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      options.push_back({"--" + name, option->get_description()});
    }
    if (option->get_positional() && place.positional == WordKind::kNone) {
      place.positional = KindOf(option->get_name(true), option->get_description());
    }
  }
  place.words.insert(place.words.end(), options.begin(), options.end());
  for (const CompletionPlace::Word& word : inherited) {
    if (word.text != "--help" && word.text != "--version") place.words.push_back(word);
  }
  places->push_back(std::move(place));
  for (const CLI::App* verb : verbs) {
    AddPlaces(*verb, path.empty() ? verb->get_name() : absl::StrCat(path, " ", verb->get_name()),
              path.empty() ? options : inherited, places);
  }
}

// In single quotes for a POSIX shell.
std::string Quote(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

std::string Texts(const CompletionPlace& place) {
  return absl::StrJoin(place.words, " ", [](std::string* out, const CompletionPlace::Word& word) {
    absl::StrAppend(out, word.text);
  });
}

const char* Asked(WordKind kind) {
  switch (kind) {
    case WordKind::kSubject:
      return "subjects";
    case WordKind::kId:
      return "ids";
    case WordKind::kSubjectOrId:
      return "all";
    case WordKind::kNone:
    case WordKind::kFile:
      break;
  }
  return "";
}

// The verbs so far: words that begin with "-" are none, and a word that is no verb ends them.
std::string Bash(const std::vector<CompletionPlace>& places) {
  std::string out = R"sh(# Made by "deferctl completion bash".
_deferctl() {
  local cur=${COMP_WORDS[COMP_CWORD]} path='' word i words='' kind=''
  # Bash parts words at colons, which subjects have.
  if declare -F _get_comp_words_by_ref >/dev/null; then _get_comp_words_by_ref -n : cur; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    case "$path $word" in
)sh";
  std::vector<std::string> deeper;
  for (const CompletionPlace& place : places) {
    if (!place.path.empty()) deeper.push_back(absl::StrCat("\" ", place.path, "\""));
  }
  for (const CompletionPlace& place : places) {
    if (place.path.empty()) continue;
    const bool nested = absl::StrContains(place.path, ' ');
    absl::StrAppend(&out, "      \"", nested ? "" : " ", place.path, "\") path='", place.path,
                    "' ;;\n");
  }
  out += "    esac\n  done\n  case $path in\n";
  for (const CompletionPlace& place : places) {
    absl::StrAppend(&out, "    '", place.path, "') words='", Texts(place), "'");
    if (*Asked(place.positional) != '\0') absl::StrAppend(&out, " kind=", Asked(place.positional));
    if (place.positional == WordKind::kFile) out += " kind=files";
    out += " ;;\n";
  }
  out += R"sh(  esac
  case $cur in -*) kind='' ;; esac
  case $kind in
    '') ;;
    files) COMPREPLY=($(compgen -f -- "$cur")) && compopt -o filenames 2>/dev/null && return ;;
    *) words+=" $(deferctl complete "$kind" 2>/dev/null)" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  if declare -F __ltrim_colon_completions >/dev/null; then __ltrim_colon_completions "$cur"; fi
}
complete -F _deferctl deferctl
)sh";
  return out;
}

std::string Zsh(const std::vector<CompletionPlace>& places) {
  std::string out = R"sh(#compdef deferctl
# Made by "deferctl completion zsh".
_deferctl() {
  local path_so_far='' word kind='' i
  local -a choices names
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    case "$path_so_far $word" in
)sh";
  for (const CompletionPlace& place : places) {
    if (place.path.empty()) continue;
    const bool nested = absl::StrContains(place.path, ' ');
    absl::StrAppend(&out, "      \"", nested ? "" : " ", place.path, "\") path_so_far='",
                    place.path, "' ;;\n");
  }
  out += "    esac\n  done\n  case $path_so_far in\n";
  for (const CompletionPlace& place : places) {
    absl::StrAppend(&out, "    '", place.path, "')\n      choices=(");
    for (const CompletionPlace::Word& word : place.words) {
      absl::StrAppend(
          &out, "\n        ",
          Quote(absl::StrCat(absl::StrReplaceAll(word.text, {{":", "\\:"}}), ":", word.help)));
    }
    out += ")\n";
    if (*Asked(place.positional) != '\0') {
      absl::StrAppend(&out, "      kind=", Asked(place.positional), "\n");
    }
    if (place.positional == WordKind::kFile) out += "      kind=files\n";
    out += "      ;;\n";
  }
  out += R"sh(  esac
  if [[ $PREFIX != -* ]]; then
    case $kind in
      '') ;;
      files) _files ;;
      *)
        names=(${(f)"$(deferctl complete $kind 2>/dev/null)"})
        compadd -a names
        ;;
    esac
  fi
  _describe 'deferctl' choices
}
if [ "$funcstack[1]" = _deferctl ]; then _deferctl "$@"; else compdef _deferctl deferctl; fi
)sh";
  return out;
}

std::string Fish(const std::vector<CompletionPlace>& places) {
  std::string out = R"sh(# Made by "deferctl completion fish".
function __deferctl_at
    set -l path
    for word in (commandline -opc)[2..-1]
        switch (string join ' ' $path $word)
)sh";
  for (const CompletionPlace& place : places) {
    if (place.path.empty()) continue;
    absl::StrAppend(&out, "            case '", place.path, "'\n                set path ",
                    place.path, "\n");
  }
  out += R"sh(        end
    end
    test "$path" = "$argv"
end
complete -c deferctl -f
)sh";
  for (const CompletionPlace& place : places) {
    const std::string at =
        absl::StrCat("complete -c deferctl -n '__deferctl_at ", place.path, "' ");
    for (const CompletionPlace::Word& word : place.words) {
      const std::string help =
          absl::StrCat("'", absl::StrReplaceAll(word.help, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
      if (absl::StartsWith(word.text, "--")) {
        absl::StrAppend(&out, at, "-l ", word.text.substr(2), " -d ", help, "\n");
      } else {
        absl::StrAppend(&out, at, "-a ", word.text, " -d ", help, "\n");
      }
    }
    if (place.positional == WordKind::kFile) {
      absl::StrAppend(&out, at, "-F\n");
    } else if (place.positional != WordKind::kNone) {
      absl::StrAppend(&out, at, "-a '(deferctl complete ", Asked(place.positional),
                      " 2>/dev/null)'\n");
    }
  }
  return out;
}

// A word that a shell can take as it is; a subject may hold anything.
bool IsPlainWord(absl::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains("@.:_+-=/%", c)) {
      return false;
    }
  }
  return text[0] != '-';
}

void AddWords(const absl::StatusOr<Json>& rows, const char* field, std::set<std::string>* words) {
  if (!rows.ok() || !rows->is_array()) return;
  for (const Json& row : *rows) {
    const std::string word = Field(row, field);
    if (IsPlainWord(word)) words->insert(word);
  }
}

}  // namespace

std::vector<CompletionPlace> CompletionPlaces(const CLI::App& app) {
  std::vector<CompletionPlace> places;
  AddPlaces(app, "", {}, &places);
  return places;
}

absl::StatusOr<std::string> CompletionScript(const CLI::App& app, absl::string_view shell) {
  const std::vector<CompletionPlace> places = CompletionPlaces(app);
  if (shell == "bash") return Bash(places);
  if (shell == "zsh") return Zsh(places);
  if (shell == "fish") return Fish(places);
  return absl::InvalidArgumentError(
      absl::StrCat("completion: no shell '", shell, "'; give bash, zsh or fish"));
}

std::string CompletionWords(const std::string& socket, absl::string_view kind) {
  std::set<std::string> words;
  if (kind != "ids") {
    AddWords(CallDaemon(socket, "blocks", {{"all", false}}, kPatience), "subject", &words);
    AddWords(CallDaemon(socket, "top", {{"limit", kSubjects}}, kPatience), "subject", &words);
  }
  if (kind != "subjects") {
    AddWords(CallDaemon(socket, "queue", {{"do", "list"}}, kPatience), "id", &words);
  }
  std::string out;
  for (const std::string& word : words) absl::StrAppend(&out, word, "\n");
  return out;
}

}  // namespace deferd
