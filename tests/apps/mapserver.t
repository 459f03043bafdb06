#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# MapServer: maps, WMS, what its configuration does not allow.
use v5.36;
use Test::More;
use Bridge;
use Recipe;

my $tmp = tmp();
mkdir $_ for "$tmp/maps";
spew("$tmp/maps/demo.map", <<'TEXT', 0644);
MAP
  NAME "demo"
  SIZE 400 300
  EXTENT -10 -10 10 10
  IMAGETYPE png
  IMAGECOLOR 200 220 255
  PROJECTION "init=epsg:4326" END
  WEB METADATA
    "ows_title" "demo" "ows_enable_request" "*" "wms_srs" "EPSG:4326"
    "wms_onlineresource" "http://127.0.0.1/cgi-bin/mapserv?"
  END END
  LAYER
    NAME "square" TYPE POLYGON STATUS DEFAULT
    METADATA "ows_title" "square" END
    FEATURE POINTS -5 -5 -5 5 5 5 5 -5 -5 -5 END END
    CLASS STYLE COLOR 255 0 0 END END
  END
END
TEXT
my $recipe = Recipe->read('mapserver');
spew("$tmp/mapserver.conf", $recipe->shown('/etc/mapserver.conf', '/srv/maps' => "$tmp/maps"), 0644);
my $app = Recipe->serve('mapserver', { '/etc/mapserver.conf' => "$tmp/mapserver.conf" });
my $map = "map=$tmp/maps/demo.map";
my $url = '/cgi-bin/mapserv';

scenario 'maps' => sub {
    my $r = $app->answers("$url?$map&mode=map", 200, qr/\A\x89PNG\r\n/);
    is($r->{type}, 'image/png', 'its type');
    $app->answers($url, 200, qr/\A\x89PNG\r\n/, '-d', "$map&mode=map");
    my $wms = "$url?$map&SERVICE=WMS&VERSION=1.1.1";
    $app->answers("$wms&REQUEST=GetCapabilities", 200, qr{<Name>square</Name>});
    $app->answers("$wms&REQUEST=GetMap&LAYERS=square&SRS=EPSG:4326&BBOX=-10,-10,10,10&WIDTH=2048&"
        . 'HEIGHT=2048&FORMAT=image/png&STYLES=', 200, qr/\A\x89PNG\r\n.*IEND/s);
    unlike($app->get("$url?map=/etc/passwd&mode=map")->{body}, qr/root:/, 'not every file');
};

scenario 'without MAPSERVER_CONFIG_FILE' => sub {
    my $r = FastCGI->ask($app->{bridge}->url('unix'), $app->{bridge}->params('',
        SCRIPT_FILENAME => '/usr/bin/mapserv', QUERY_STRING => "$map&mode=map"));
    like(FastCGI::body($r), qr/MAPSERVER_CONFIG_FILE|config/i, 'it says what it needs');
};

$app->stop;
done_testing;
