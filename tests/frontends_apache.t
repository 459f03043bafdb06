#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# Apache: the cases of FrontEndCases, through mod_proxy_fcgi; an authorizer, by mod_authnz_fcgi.
use v5.36;
use Test::More;
use Bridge;
use FrontEnd;
use FrontEndCases;

is_program(qw(apache2 apache2-bin));

my $dir = Bridge::cgi();

sub by_tcp () {
    by_unix();
    FrontEnd::swap("proxy:unix:$FrontEndCases::socket|fcgi://cgibridge", "proxy:fcgi://$FrontEndCases::tcp");
    FrontEnd::swap('<Proxy "fcgi://cgibridge">', qq{<Proxy "fcgi://$FrontEndCases::tcp">});
}

sub kept_open () {
    FrontEnd::swap('enablereuse=off', 'enablereuse=on');
}

my $alias = 'a 302 for a script that has an alias, not below DOCUMENT_ROOT';
my %cannot = (
    redirect => $alias,
    ticks => 'only with flushpackets=on',
    silent => 'it looks at its client only when it has something to send',
);
my %unkept = (%cannot, kept => 'only with enablereuse=on, which saves little over a unix socket');
my %unlimited = (limit => 'not in these lines');

test_front_end(Apache => [
    { name => 'Apache, unix', start => 'apache', cannot => \%unkept, edit => sub { by_unix() } },
    { name => 'Apache, tcp, flushpackets', start => 'apache',
        cannot => { map { $_ => $unkept{$_} } qw(redirect silent kept) },
        edit => sub { by_tcp(); FrontEnd::swap('flushpackets=off', 'flushpackets=on') } },
    { name => 'Apache, unix, enablereuse', start => 'apache', cannot => \%cannot,
        edit => sub { by_unix(); kept_open() } },
    { name => 'Apache, tcp, enablereuse', start => 'apache', cannot => \%cannot,
        edit => sub { by_tcp(); kept_open() } },
    { name => 'Apache, unix, ProxyPass', start => 'apache', cannot => { %unkept, %unlimited },
        edit => sub { $_ = qq{ProxyPass "/cgi-bin/" "unix:$FrontEndCases::socket|fcgi://any$dir/"\n} } },
    { name => 'Apache, tcp, ProxyPass, enablereuse', start => 'apache', cannot => { %cannot, %unlimited },
        edit => sub { $_ = qq{ProxyPass "/cgi-bin/" "fcgi://$FrontEndCases::tcp$dir/" enablereuse=on\n} } },
], more => sub ($result) {
    $result->{'an authorizer, FastCGI role 2'} = test_authorizer(
        { name => 'Apache, authorizer', start => 'apache', edit => sub {
            with_authorizer('apache/authorizer.conf');
            FrontEnd::swap('fcgi://127.0.0.1:9000/', "fcgi://$FrontEndCases::tcp/");
            by_unix() },
            # it says so of each refusal, and of each failure
            logs => qr/authnz_fcgi:error|authz_core:error/ });
});
done_testing;
