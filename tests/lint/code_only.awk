# code_only.awk -- a C file without comments, and with "..." and '.' emptied; lines keep their numbers.
{
    line = $0
    out = ""
    while (line != "") {
        if (in_comment) {
            at = index(line, "*/")
            if (!at) { line = ""; break }
            line = substr(line, at + 2)
            in_comment = 0
            out = out " "
            continue
        }
        c = substr(line, 1, 1)
        two = substr(line, 1, 2)
        if (two == "/*") { in_comment = 1; line = substr(line, 3); continue }
        if (two == "//") { line = ""; break }
        if (c == "\"" || c == "'") {
            out = out c
            line = substr(line, 2)
            while (line != "") {
                d = substr(line, 1, 1)
                if (d == "\\") { line = substr(line, 3); continue }
                line = substr(line, 2)
                if (d == c) break
            }
            out = out c
            continue
        }
        out = out c
        line = substr(line, 2)
    }
    print out
}
