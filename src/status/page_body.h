
/*
 * What the script of the status page fills in: HTML.
 */


#ifndef _PERM_STATUS_PAGE_BODY_H_INCLUDED_
#define _PERM_STATUS_PAGE_BODY_H_INCLUDED_


static const char  perm_page_body[] =
    "<section class='wide'>\n"
    "<h2>The last ten minutes</h2>\n"
    "<p class='hint'>Checks a second, by what became of them.</p>\n"
    "<div id='chart'></div>\n"
    "<div class='key'><span><i class='allow'></i>allowed</span>\n"
    "<span><i class='deny'></i>denied</span>\n"
    "<span><i class='fail'></i>failed</span>\n"
    "<span><i class='would'></i>let through by dry run</span></div>\n"
    "</section>\n"
    "<div class='cols'>\n"
    "<section>\n"
    "<h2>Decisions</h2>\n"
    "<p class='hint'>By reason, since start.</p>\n"
    "<div class='scroll' id='reasons'></div>\n"
    "</section>\n"
    "<section>\n"
    "<h2>Times</h2>\n"
    "<p class='hint'>How many took how long: the check when the answer was at\n"
    "hand, the check when Redis had to be asked, a Redis command.</p>\n"
    "<div id='times'></div>\n"
    "</section>\n"
    "</div>\n"
    "<section class='wide'>\n"
    "<h2>Most refused</h2>\n"
    "<p class='hint'>App, resource and reason that were refused most,\n"
    "since start.</p>\n"
    "<div class='scroll' id='refused'></div>\n"
    "</section>\n"
    "<section class='wide'>\n"
    "<h2>Would be refused</h2>\n"
    "<p class='hint'>What dry run let through. Where this stays empty,\n"
    "dry run can be switched off and nobody is locked out.</p>\n"
    "<div class='scroll' id='would'></div>\n"
    "</section>\n"
    "<section class='wide'>\n"
    "<h2>Resources</h2>\n"
    "<p class='hint'>Policy as last seen, and what happened. Allowed calls\n"
    "are sampled where the answer was at hand, so about right.</p>\n"
    "<div class='scroll' id='resources'></div>\n"
    "</section>\n"
    "<section class='wide'>\n"
    "<h2>Ending soon</h2>\n"
    "<p class='hint'>Grants in use whose end comes within 15 days.</p>\n"
    "<div class='figures' id='windows'></div>\n"
    "<div class='scroll' id='expiring'></div>\n"
    "</section>\n"
    "<section class='wide'>\n"
    "<h2>Why was a call decided so?</h2>\n"
    "<p class='hint'>What this gateway has in its cache, what Redis says\n"
    "now.</p>\n"
    "<form id='explain'>\n"
    "<input name='gateway' placeholder='gateway' aria-label='gateway'\n"
    " required maxlength='64' autocomplete='off' spellcheck='false'>\n"
    "<input name='resource' placeholder='resource' aria-label='resource'\n"
    " required maxlength='256' autocomplete='off' spellcheck='false'>\n"
    "<input name='app' placeholder='app' aria-label='app'\n"
    " required maxlength='128' autocomplete='off' spellcheck='false'>\n"
    "<button>Explain</button>\n"
    "</form>\n"
    "<div class='scroll' id='because'></div>\n"
    "</section>\n";


#endif /* _PERM_STATUS_PAGE_BODY_H_INCLUDED_ */
